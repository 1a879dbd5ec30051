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
use super::worker::{Command, Commanded, Inner, State, Waiting};

/// What is to be done next.
enum Next {
    Command(Commanded),
    Request(Box<Waiting>),
}

/// Task until the worker is stopped.
pub(super) fn run<P: ModelRunner>(
    inner: &Inner,
    mut load: impl FnMut() -> Result<P>,
    mut warm_up: impl FnMut(&mut P, &Cancel) -> Result<()>,
) {
    let mut model = None;
    while let Some(next) = next(inner) {
        match (next, &mut model) {
            (Next::Request(waiting), Some(model)) => serve(inner, model, *waiting),
            (Next::Request(waiting), None) => {
                let none = Error::NotReady("there is no model".into());
                let _ = waiting.events.send(Event::Done(Err(none)));
            }
            (Next::Command(Commanded { command, reply }), _) => {
                let done = match command {
                    Command::Load if model.is_some() => Ok(()),
                    Command::Load => {
                        bring_up(inner, &mut load, &mut warm_up).map(|loaded| model = Some(loaded))
                    }
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
    let mut shared = inner.lock();
    shared.rest(State::Stopped);
    shared.end_all(|| Error::Canceled);
}

/// Load and warm up; the state tells how far it is and what came of it.
fn bring_up<P: ModelRunner>(
    inner: &Inner,
    load: &mut impl FnMut() -> Result<P>,
    warm_up: &mut impl FnMut(&mut P, &Cancel) -> Result<()>,
) -> Result<P> {
    inner.lock().rest(State::Loading);
    let unloaded = || Error::NotReady("it was unloaded before it was ready".into());
    let ready = || {
        let mut model = load()?;
        let cancel = Cancel::default();
        {
            let mut shared = inner.lock();
            if shared.is_unloading() {
                return Err(unloaded());
            }
            shared.status.model = model.info();
            shared.status.state = State::WarmingUp;
            shared.running = Some((cancel.clone(), Priority::Background));
        }
        match (warm_up(&mut model, &cancel), cancel.stopped()) {
            (Err(Error::Canceled), Some(Stop::Unloaded)) => Err(unloaded()),
            (warm, _) => warm.map(|()| model),
        }
    };
    let ready = catch_unwind(AssertUnwindSafe(ready)).unwrap_or_else(|panic| Err(told(&*panic)));
    let mut shared = inner.lock();
    shared.running = None;
    match &ready {
        Ok(model) => {
            shared.status.model = model.info();
            shared.status.speed = model.speed();
            shared.status.state = State::Ready;
        }
        Err(error) => {
            // The command to unload comes next and finds nothing to do.
            let state = match shared.is_unloading() {
                true => State::Unloaded,
                false => State::Failed(error.to_string()),
            };
            shared.rest(state);
        }
    }
    ready
}

/// Wait for what is next; none when the worker is to stop.
fn next(inner: &Inner) -> Option<Next> {
    let mut shared = inner.lock();
    loop {
        if shared.stopping {
            return None;
        }
        if let Some(commanded) = shared.commands.pop_front() {
            if commanded.command == Command::Unload {
                shared.rest(State::Unloaded);
            }
            return Some(Next::Command(commanded));
        }
        shared.sweep();
        let next = shared.queries.next();
        if let Some(waiting) = next.or_else(|| shared.background.next()) {
            shared.running = Some((waiting.request.cancel.clone(), waiting.request.priority));
            shared.status.running = true;
            shared.sweep();
            return Some(Next::Request(Box::new(waiting)));
        }
        shared = inner
            .wake
            .wait(shared)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn serve(inner: &Inner, model: &mut impl ModelRunner, waiting: Waiting) {
    let Waiting {
        request,
        events,
        since,
    } = waiting;
    let started = Instant::now();
    let frame = catch_unwind(AssertUnwindSafe(|| request.frame.frame()))
        .unwrap_or_else(|panic| Err(told(&*panic)));
    let result = match frame {
        Err(error) => Err(error),
        Ok(frame) => {
            let _ = events.send(Event::Started(frame.clone(), since.elapsed()));
            let news = events.clone();
            let mut control = Control::new(request.cancel.clone(), move |progress| {
                let _ = news.send(Event::Progress(progress));
            });
            catch_unwind(AssertUnwindSafe(|| {
                let images = frame.images();
                model.run_task(&images, &request.work, &request.settings, &mut control)
            }))
            .unwrap_or_else(|panic| Err(told(&*panic)))
        }
    };
    let result = match (result, request.cancel.stopped()) {
        (Err(Error::Canceled), Some(Stop::Unloaded)) => {
            Err(Error::NotReady(Stop::Unloaded.to_string()))
        }
        (result, _) => result,
    };
    {
        let mut shared = inner.lock();
        shared.running = None;
        let status = &mut shared.status;
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

fn told(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Internal(text.unwrap_or_else(|| "a panic without a message".into()))
}
