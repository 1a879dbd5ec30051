//! The action `~/reason`: queue, streamed thoughts and maps, cancel, time budget, result.
//!
//! A goal is refused only when the queue is full, since ROS carries no reason with a refusal; other bad input is
//! accepted and aborted at once, with a code and words in the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{Event, Task};
use futures::{FutureExt, Stream, StreamExt};
use r2r::cooper_perception::action::Reason;
use r2r::{ActionServerCancelRequest, ActionServerGoal, ActionServerGoalRequest, Node};

use super::conclusion::{Asked, Ending};
use super::feedback::Feedback;
use super::requests::{self, Accepted, Caller, ClientRequest, Core, Finished};
use super::tasks::Tasks;
use super::{codes, convert, feedback, results, topics};

/// How long a result can be fetched.
const KEEP_RESULT: Duration = Duration::from_secs(30);

/// A goal of the action.
type Goal = ActionServerGoal<Reason::Action>;

/// Offer the action; the task ends with the node.
///
/// # Errors
/// [`Error::Internal`] if the middleware refuses it.
pub fn offer(node: &mut Node, core: &Arc<Core>, tasks: &mut Tasks) -> Result<()> {
    let name = interfaces::REASON.name;
    let goals = node.create_action_server::<Reason::Action>(name);
    let goals = goals.map_err(|error| topics::failed(name, &error))?;
    let mut goals = tasks.inboxes.of(goals);
    let core = core.clone();
    tasks.spawn(name, async move {
        while let Some(request) = goals.recv().await {
            if let Err(error) = begin(&core, request) {
                tracing::warn!("a goal of {name} could not be answered: {error}");
            }
        }
    });
    Ok(())
}

/// Refuse a goal, abort it at once, or set it going in a task of its own.
fn begin(core: &Arc<Core>, request: ActionServerGoalRequest<Reason::Action>) -> r2r::Result<()> {
    let since = Instant::now();
    let submitted = time_budget(request.goal.time_budget).and_then(|budget| {
        // A budget that ends after the clock does is none.
        let deadline = budget.and_then(|budget| since.checked_add(budget));
        let cancel = deadline.map_or_else(Cancel::default, Cancel::at);
        let caller = Caller::of(&interfaces::REASON);
        let inquiry = inquiry(&request.goal);
        let accepted = core.ask(caller, inquiry, Task::Answer, cancel.clone())?;
        Ok((cancel, accepted))
    });
    match submitted {
        Err(error @ Error::Busy { .. }) => {
            tracing::warn!("a goal was refused: {error}");
            request.reject()
        }
        Err(error) => {
            tracing::warn!("a goal was aborted: {error}");
            let (mut goal, _) = request.accept()?;
            goal.abort(results::failed(&error, Reason::Result::default()))
        }
        Ok((cancel, accepted)) => {
            let (goal, cancels) = request.accept().inspect_err(|_| cancel.cancel())?;
            let run = Run {
                core: core.clone(),
                goal,
                cancel,
                canceled: false,
            };
            tokio::spawn(run.follow(cancels, accepted));
            Ok(())
        }
    }
}

fn inquiry(goal: &Reason::Goal) -> ClientRequest {
    ClientRequest {
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

/// Read the seconds of a goal's time budget; 0 is none.
fn time_budget(seconds: f64) -> Result<Option<Duration>> {
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

/// How a goal ends in ROS's terms.
#[derive(Clone, Copy)]
enum GoalEnding {
    Succeeded,
    Aborted,
    Canceled,
}

/// A goal on its way.
struct Run {
    core: Arc<Core>,
    goal: Goal,
    cancel: Cancel,
    /// The client asked for a stop.
    canceled: bool,
}

impl Run {
    /// Tell the goal's news until it ends, and return its result.
    async fn follow(
        mut self,
        mut cancels: impl Stream<Item = ActionServerCancelRequest> + Unpin + Send,
        accepted: Accepted,
    ) {
        let Accepted { mut events, asked } = accepted;
        let mut feedback = Feedback::default();
        let mut finished = Finished::refused(requests::lost());
        let left = self.cancel.time_left();
        let deadline = async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let mut deadline = std::pin::pin!(deadline.fuse());
        let mut pace = tokio::time::interval(feedback::PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    None => break,
                    Some(Event::Done(result)) => {
                        self.tell(feedback.release());
                        finished.result = result;
                        break;
                    }
                    Some(event) => {
                        if let Event::Started(frame, waited) = &event {
                            finished.ending = Ending {
                                frame: Some(frame.clone()),
                                waited: *waited,
                            };
                        }
                        self.tell(feedback.of(event));
                    }
                },
                _ = pace.tick() => self.tell(feedback.release()),
                Some(request) = cancels.next() => {
                    request.accept();
                    self.canceled = true;
                    self.cancel.cancel();
                    self.core.worker.remove_canceled();
                }
                // What runs has seen it by itself.
                () = &mut deadline => self.core.worker.remove_canceled(),
            }
        }
        let ending = self.end(finished, asked).await;
        // A cancel that came too late would otherwise wait for its reply for ever.
        while let Some(Some(late)) = cancels.next().now_or_never() {
            late.reject();
        }
        self.forget(ending).await;
    }

    fn tell(&self, messages: impl IntoIterator<Item = Reason::Feedback>) {
        for message in messages {
            // A client that does not listen is no reason to stop.
            let _ = self.goal.publish_feedback(message);
        }
    }

    /// Return the result and publish the answer.
    async fn end(&mut self, finished: Finished, asked: Asked) -> GoalEnding {
        let Finished { ending, result } = finished;
        let transcript = requests::transcript_of(result);
        let base = Reason::Result {
            header: convert::std_header(&ending.header()),
            ..Reason::Result::default()
        };
        let result = match &transcript {
            Ok(transcript) => results::of_transcript(transcript, ending.frame.as_deref(), base),
            Err(error) => results::failed(error, base),
        };
        let result = match self.cancel.stopped() {
            _ if self.canceled => result,
            Some(why) => results::stopped(result, why),
            None => result,
        };
        if result.status == codes::STATUS_FAILED {
            tracing::warn!("a goal failed: {}", result.error_msg);
        }
        let told = self
            .core
            .conclude(asked, &ending, result.status, transcript.as_ref());
        let result = Reason::Result {
            pictures: told.pictures,
            timings: told.timings,
            ..result
        };
        let ending = if self.canceled {
            self.until_canceling().await;
            GoalEnding::Canceled
        } else if result.error_code == codes::NONE {
            GoalEnding::Succeeded
        } else {
            GoalEnding::Aborted
        };
        if let Err(error) = self.finish(ending, result) {
            tracing::warn!("a result could not be returned: {error}");
        }
        ending
    }

    fn finish(&mut self, ending: GoalEnding, result: Reason::Result) -> r2r::Result<()> {
        match ending {
            GoalEnding::Succeeded => self.goal.succeed(result),
            GoalEnding::Aborted => self.goal.abort(result),
            GoalEnding::Canceled => self.goal.cancel(result),
        }
    }

    /// Put an empty result in the place of one that nobody fetched in time: r2r 0.9.7 keeps them, and their maps, for
    /// ever.
    async fn forget(mut self, ending: GoalEnding) {
        self.goal.goal = Reason::Goal::default();
        tokio::time::sleep(KEEP_RESULT).await;
        let _ = self.finish(ending, results::forgotten(KEEP_RESULT));
    }

    /// Wait until the spin thread has told the client that its cancel was accepted; r2r forgets the goal then.
    async fn until_canceling(&mut self) {
        for _ in 0..200 {
            match self.goal.is_cancelling() {
                Ok(false) => tokio::time::sleep(Duration::from_millis(2)).await,
                Ok(true) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_budget_is_seconds_or_none() {
        assert_eq!(time_budget(0.0).unwrap(), None);
        assert_eq!(time_budget(1.5).unwrap(), Some(Duration::from_millis(1500)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(
                time_budget(wrong)
                    .unwrap_err()
                    .to_string()
                    .starts_with("time_budget")
            );
        }
    }
}
