//! A goal: queue, streamed thoughts and maps, cancel, time budget, result.
//!
//! A goal is rejected only when the queue is full, since ROS carries no reason with a rejection; other invalid input is
//! accepted and aborted at once, with a code and a message in the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{Event, Task};
use futures::{FutureExt, Stream, StreamExt};
use r2r::cooper_perception::action::Reason;
use r2r::{ActionServerCancelRequest, ActionServerGoal, ActionServerGoalRequest, Node};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use super::feedback::{self, Feedback};
use super::result;
use crate::requests::{
    self, Accepted, Caller, ClientRequest, Completed, Execution, PendingQuestion,
};
use crate::shared::Shared;
use crate::tasks::Tasks;
use crate::{codes, convert, topics};

/// How long a client can fetch a result.
const KEEP_RESULT: Duration = Duration::from_secs(30);
/// How often to check whether r2r has noted a cancel request, and how many times.
const CANCELING_PERIOD: Duration = Duration::from_millis(2);
const CANCELING_CHECKS: usize = 200;

/// Create the action server.
///
/// # Errors
/// [`Error::Internal`] if the middleware rejects it.
pub fn serve(node: &mut Node, shared: &Arc<Shared>, tasks: &mut Tasks) -> Result<()> {
    let name = interfaces::REASON.name;
    let goals = node.create_action_server::<Reason::Action>(name);
    let goals = goals.map_err(|error| topics::rejected(name, &error))?;
    let mut goals = tasks.incoming.add(goals);
    let shared = shared.clone();
    tasks.spawn(name, async move {
        while let Some(request) = goals.recv().await {
            if let Err(error) = start(&shared, request) {
                tracing::warn!("cannot reply to a goal of {name}: {error}");
            }
        }
    });
    Ok(())
}

/// Reject a goal, abort it at once, or run it in a task of its own.
fn start(
    shared: &Arc<Shared>,
    request: ActionServerGoalRequest<Reason::Action>,
) -> r2r::Result<()> {
    let fields = client_request(&request.goal);
    let submitted = read_time_budget(request.goal.time_budget).and_then(|budget| {
        // A budget beyond the clock's range is no limit.
        let deadline = budget.and_then(|budget| fields.received.checked_add(budget));
        let cancel = deadline.map_or_else(Cancel::default, Cancel::at);
        let caller = Caller::client(&interfaces::REASON);
        let accepted = shared.ask(caller, fields, Task::Answer, cancel.clone())?;
        Ok((cancel, accepted))
    });
    match submitted {
        Err(error @ Error::Busy { .. }) => {
            tracing::warn!("goal rejected: {error}");
            request.reject()
        }
        Err(error) => {
            tracing::warn!("goal aborted: {error}");
            let (mut goal, _) = request.accept()?;
            goal.abort(result::failed(&error, Reason::Result::default()))
        }
        Ok((cancel, accepted)) => {
            let (goal, cancels) = request.accept().inspect_err(|_| cancel.cancel())?;
            let run = Run {
                shared: shared.clone(),
                goal,
                cancel,
                is_canceled: false,
            };
            tokio::spawn(run.run(cancels, accepted));
            Ok(())
        }
    }
}

fn client_request(goal: &Reason::Goal) -> ClientRequest {
    ClientRequest {
        received: Instant::now(),
        question: goal.question.clone(),
        camera: goal.camera.clone(),
        image: goal.image.clone(),
        mode: goal.mode,
        seed: goal.seed,
        max_turns: goal.max_turns,
        further_cameras: goal.further_cameras.clone(),
        further_images: goal.further_images.clone(),
    }
}

/// Read a goal's time budget in seconds; 0 is none.
fn read_time_budget(seconds: f64) -> Result<Option<Duration>> {
    if seconds == 0.0 {
        return Ok(None);
    }
    let budget = Duration::try_from_secs_f64(seconds);
    let budget = budget.map_err(|_| {
        Error::invalid(
            "time_budget",
            format!("expected seconds, 0 or more, got {seconds}"),
        )
    });
    budget.map(Some)
}

/// A goal's final status in ROS.
#[derive(Clone, Copy)]
enum GoalStatus {
    Succeeded,
    Aborted,
    Canceled,
}

/// An accepted goal.
struct Run {
    shared: Arc<Shared>,
    goal: ActionServerGoal<Reason::Action>,
    cancel: Cancel,
    /// The client has canceled it.
    is_canceled: bool,
}

impl Run {
    /// Send feedback until the goal ends, then its result.
    async fn run(
        mut self,
        mut cancels: impl Stream<Item = ActionServerCancelRequest> + Unpin + Send,
        accepted: Accepted,
    ) {
        let completed = self.follow(&mut cancels, accepted.events).await;
        let status = self.end(completed, accepted.question).await;
        // Reply to late cancel requests: their clients would wait for ever.
        while let Some(Some(late)) = cancels.next().now_or_never() {
            late.reject();
        }
        self.expire(status).await;
    }

    /// Send feedback until the goal ends.
    async fn follow(
        &mut self,
        mut cancels: impl Stream<Item = ActionServerCancelRequest> + Unpin + Send,
        mut events: UnboundedReceiver<Event>,
    ) -> Completed {
        let mut feedback = Feedback::default();
        let mut completed = Completed::failed(requests::lost());
        let mut deadline = std::pin::pin!(deadline(self.cancel.time_left()).fuse());
        let mut period = tokio::time::interval(feedback::PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    None => return completed,
                    Some(Event::Done(result)) => {
                        self.publish_feedback(feedback.take());
                        completed.result = result;
                        return completed;
                    }
                    Some(event) => {
                        if let Event::Started(frame, queued) = &event {
                            completed.execution = Execution {
                                frame: Some(frame.clone()),
                                queued: *queued,
                            };
                        }
                        self.publish_feedback(feedback.messages(event));
                    }
                },
                _ = period.tick() => self.publish_feedback(feedback.take()),
                Some(request) = cancels.next() => {
                    request.accept();
                    self.is_canceled = true;
                    self.cancel.cancel();
                    self.shared.worker.remove_canceled();
                }
                // A running goal sees the deadline by itself.
                () = &mut deadline => self.shared.worker.remove_canceled(),
            }
        }
    }

    fn publish_feedback(&self, messages: impl IntoIterator<Item = Reason::Feedback>) {
        for message in messages {
            // Feedback is optional: a failure does not end the goal.
            let _ = self.goal.publish_feedback(message);
        }
    }

    /// Publish the answer and send the result.
    async fn end(&mut self, completed: Completed, question: PendingQuestion) -> GoalStatus {
        let Completed { execution, result } = completed;
        let transcript = requests::into_transcript(result);
        let base = Reason::Result {
            header: convert::std_header(&execution.header()),
            ..Reason::Result::default()
        };
        let result = match &transcript {
            Ok(transcript) => result::from_transcript(transcript, execution.frame.as_deref(), base),
            Err(error) => result::failed(error, base),
        };
        let result = match self.cancel.stopped() {
            Some(why) if !self.is_canceled => result::stopped(result, why),
            _ => result,
        };
        if result.status == codes::STATUS_FAILED {
            tracing::warn!("goal failed: {}", result.error_msg);
        }
        let answer =
            self.shared
                .publish_answer(question, &execution, result.status, transcript.as_ref());
        let result = Reason::Result {
            pictures: answer.pictures,
            timings: answer.timings,
            ..result
        };
        let status = if self.is_canceled {
            self.until_canceling().await;
            GoalStatus::Canceled
        } else if result.error_code == codes::NONE {
            GoalStatus::Succeeded
        } else {
            GoalStatus::Aborted
        };
        if let Err(error) = self.send(status, result) {
            tracing::warn!("cannot send the result of a goal: {error}");
        }
        status
    }

    fn send(&mut self, status: GoalStatus, result: Reason::Result) -> r2r::Result<()> {
        match status {
            GoalStatus::Succeeded => self.goal.succeed(result),
            GoalStatus::Aborted => self.goal.abort(result),
            GoalStatus::Canceled => self.goal.cancel(result),
        }
    }

    /// Replace the result by an empty one after [`KEEP_RESULT`]: r2r 0.9.7 keeps results that no client fetches, and
    /// their maps, for ever.
    async fn expire(mut self, status: GoalStatus) {
        self.goal.goal = Reason::Goal::default();
        tokio::time::sleep(KEEP_RESULT).await;
        let _ = self.send(status, result::expired(KEEP_RESULT));
    }

    /// Wait until the spinning thread has accepted the client's cancel request; after the result r2r forgets the goal.
    async fn until_canceling(&mut self) {
        for _ in 0..CANCELING_CHECKS {
            match self.goal.is_cancelling() {
                Ok(false) => tokio::time::sleep(CANCELING_PERIOD).await,
                Ok(true) | Err(_) => return,
            }
        }
    }
}

/// Wait for so long; for ever if there is no limit.
async fn deadline(time_left: Option<Duration>) {
    match time_left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_budget_is_seconds_or_none() {
        assert_eq!(read_time_budget(0.0).unwrap(), None);
        let budget = read_time_budget(1.5).unwrap();
        assert_eq!(budget, Some(Duration::from_millis(1500)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let error = read_time_budget(wrong).unwrap_err().to_string();
            assert!(error.starts_with("time_budget"), "{error}");
        }
    }
}
