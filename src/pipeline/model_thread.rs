//! What runs on the thread that owns the model: commands first, then requests, one at a time.
//!
//! A panic in a request or in loading is caught: the request fails, the thread lives on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::time::Instant;

use cooper_model::engine::{Cancel, Control, Stop, give_back_memory};
use cooper_model::{Error, Result};

use super::request::{Event, Priority};
use super::runner::ModelRunner;
use super::shared::{Command, PendingCommand, QueuedRequest, Shared, State};

/// What the thread does next.
enum Next {
    Command(PendingCommand),
    Request(Box<QueuedRequest>),
}

/// Serve commands and requests until the worker is stopped.
pub(super) fn run<P: ModelRunner>(
    shared: &Shared,
    mut load: impl FnMut() -> Result<P>,
    mut warm_up: impl FnMut(&mut P, &Cancel) -> Result<()>,
) {
    let mut model = None;
    while let Some(next) = next(shared) {
        match (next, &mut model) {
            (Next::Request(waiting), Some(model)) => serve(shared, model, *waiting),
            (Next::Request(waiting), None) => {
                let none = Error::NotReady("there is no model".into());
                let _ = waiting.events.send(Event::Done(Err(none)));
            }
            (Next::Command(PendingCommand { command, reply }), _) => {
                let done = match command {
                    Command::Load if model.is_some() => Ok(()),
                    Command::Load => load_and_warm_up(shared, &mut load, &mut warm_up)
                        .map(|loaded| model = Some(loaded)),
                    Command::Unload => {
                        model = None;
                        Ok(())
                    }
                };
                if model.is_none() {
                    give_back_memory();
                }
                let _ = reply.send(done);
            }
        }
    }
    drop(model);
    let mut inner = shared.lock();
    inner.clear_model(State::Stopped);
    inner.end_all(|| Error::Canceled);
}

/// Load and warm up; the state says how far it is and how it ended.
fn load_and_warm_up<P: ModelRunner>(
    shared: &Shared,
    load: &mut impl FnMut() -> Result<P>,
    warm_up: &mut impl FnMut(&mut P, &Cancel) -> Result<()>,
) -> Result<P> {
    shared.lock().clear_model(State::Loading);
    let unloaded = || Error::NotReady("it was unloaded before it was ready".into());
    let ready = || {
        let mut model = load()?;
        let cancel = Cancel::default();
        {
            let mut inner = shared.lock();
            if inner.is_unloading() {
                return Err(unloaded());
            }
            inner.status.model = model.info();
            inner.status.state = State::WarmingUp;
            inner.running = Some((cancel.clone(), Priority::Background));
        }
        match (warm_up(&mut model, &cancel), cancel.stopped()) {
            (Err(Error::Canceled), Some(Stop::Unloaded)) => Err(unloaded()),
            (warm, _) => warm.map(|()| model),
        }
    };
    let ready =
        catch_unwind(AssertUnwindSafe(ready)).unwrap_or_else(|panic| Err(panic_error(&*panic)));
    let mut inner = shared.lock();
    inner.running = None;
    match &ready {
        Ok(model) => {
            inner.status.model = model.info();
            inner.status.speed = model.speed();
            inner.status.state = State::Ready;
        }
        Err(error) => {
            // The command to unload comes next and finds nothing to do.
            let state = match inner.is_unloading() {
                true => State::Unloaded,
                false => State::Failed(error.to_string()),
            };
            inner.clear_model(state);
        }
    }
    ready
}

/// Wait for the next command or request; `None` when the worker stops.
fn next(shared: &Shared) -> Option<Next> {
    let mut inner = shared.lock();
    loop {
        if inner.stopping {
            return None;
        }
        if let Some(pending) = inner.commands.pop_front() {
            if pending.command == Command::Unload {
                inner.clear_model(State::Unloaded);
            }
            return Some(Next::Command(pending));
        }
        inner.remove_canceled();
        let next = inner.queries.next();
        if let Some(waiting) = next.or_else(|| inner.background.next()) {
            inner.running = Some((waiting.request.cancel.clone(), waiting.request.priority));
            inner.status.running = true;
            inner.remove_canceled();
            return Some(Next::Request(Box::new(waiting)));
        }
        inner = shared
            .wake
            .wait(inner)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn serve(shared: &Shared, model: &mut impl ModelRunner, waiting: QueuedRequest) {
    let QueuedRequest {
        request,
        events,
        since,
    } = waiting;
    let started = Instant::now();
    let frame = catch_unwind(AssertUnwindSafe(|| request.frame.frame()))
        .unwrap_or_else(|panic| Err(panic_error(&*panic)));
    let result = match frame {
        Err(error) => Err(error),
        Ok(frame) => {
            let _ = events.send(Event::Started(frame.clone(), since.elapsed()));
            let progress_events = events.clone();
            let mut control = Control::new(request.cancel.clone(), move |progress| {
                let _ = progress_events.send(Event::Progress(progress));
            });
            catch_unwind(AssertUnwindSafe(|| {
                let images = frame.images();
                model.run_task(&images, &request.task, &request.settings, &mut control)
            }))
            .unwrap_or_else(|panic| Err(panic_error(&*panic)))
        }
    };
    let result = match (result, request.cancel.stopped()) {
        (Err(Error::Canceled), Some(Stop::Unloaded)) => {
            Err(Error::NotReady(Stop::Unloaded.to_string()))
        }
        (result, _) => result,
    };
    {
        let mut inner = shared.lock();
        inner.running = None;
        let status = &mut inner.status;
        status.running = false;
        status.model = model.info();
        status.speed = model.speed();
        match &result {
            Ok(_) => {
                status.done += 1;
                status.last_run = Some(started.elapsed());
            }
            Err(Error::Canceled | Error::NotReady(_)) => {}
            Err(error) => {
                status.failed += 1;
                status.last_error = Some(error.to_string());
            }
        }
    }
    let _ = events.send(Event::Done(result));
    give_back_memory();
}

fn panic_error(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Internal(text.unwrap_or_else(|| "a panic without a message".into()))
}
