//! The action `~/reason`: queue, streamed thoughts and maps, cancel, time budget, result.
//!
//! A goal is refused only when the queue is full, since ROS carries no reason with a refusal; other bad input is
//! accepted and aborted at once, with a code and words in the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::Stream;
use futures::StreamExt;
use r2r::ActionServerCancelRequest;
use r2r::ActionServerGoal;
use r2r::ActionServerGoalRequest;
use r2r::Node;
use r2r::cooper_perception::action::Reason;
use r2r::cooper_perception::msg::Answer;

use super::codes;
use super::feedback;
use super::feedback::Feedback;
use super::requests::{self, Accepted, Core, Finished, Inquiry};
use super::results;
use super::tasks::Tasks;
use super::topics;
use crate::config::interfaces;
use crate::engine::Cancel;
use crate::error::{Error, Result};
use crate::pipeline::Event;
use crate::pipeline::Work;

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
    let cancel = Cancel::default();
    let submitted = time_budget(request.goal.time_budget).and_then(|budget| {
        let accepted = core.ask(inquiry(&request.goal), Work::Answer, cancel.clone())?;
        Ok((budget, accepted))
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
        Ok((budget, accepted)) => {
            let (goal, cancels) = request.accept().inspect_err(|_| cancel.cancel())?;
            let run = Run {
                core: core.clone(),
                goal,
                cancel,
                since,
                canceled: false,
                expired: false,
            };
            tokio::spawn(run.follow(cancels, accepted, budget));
            Ok(())
        }
    }
}

fn inquiry(goal: &Reason::Goal) -> Inquiry {
    Inquiry {
        question: goal.question.clone(),
        camera: goal.camera.clone(),
        image: goal.image.clone(),
        mode: goal.mode,
        seed: goal.seed,
        max_turns: goal.max_turns,
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
enum Ending {
    Succeeded,
    Aborted,
    Canceled,
}

/// A goal on its way.
struct Run {
    core: Arc<Core>,
    goal: Goal,
    cancel: Cancel,
    since: Instant,
    /// The client asked for a stop.
    canceled: bool,
    /// The time budget was spent.
    expired: bool,
}

impl Run {
    /// Tell the goal's news until it ends, and return its result.
    async fn follow(
        mut self,
        mut cancels: impl Stream<Item = ActionServerCancelRequest> + Unpin + Send,
        accepted: Accepted,
        budget: Option<Duration>,
    ) {
        let Accepted { mut events, answer } = accepted;
        let mut feedback = Feedback::default();
        let mut finished = Finished {
            frame: None,
            waited: Duration::ZERO,
            result: Err(requests::lost()),
        };
        let deadline = async {
            match budget {
                Some(budget) => tokio::time::sleep(budget).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
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
                            (finished.frame, finished.waited) = (Some(frame.clone()), *waited);
                        }
                        self.tell(feedback.of(event));
                    }
                },
                _ = pace.tick() => self.tell(feedback.release()),
                Some(request) = cancels.next() => {
                    request.accept();
                    self.canceled = true;
                    self.stop();
                }
                () = &mut deadline, if !self.expired => {
                    self.expired = true;
                    self.stop();
                }
            }
        }
        let ending = self.end(finished, answer).await;
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

    fn stop(&self) {
        self.cancel.cancel();
        self.core.worker.sweep();
    }

    /// Return the result and publish the answer.
    async fn end(&mut self, finished: Finished, answer: Answer) -> Ending {
        let header = finished.header();
        let total = self.since.elapsed();
        let transcript = requests::transcript_of(finished.result);
        let base = results::begun(&header, finished.waited, total);
        let result = match &transcript {
            Ok(transcript) => results::of_transcript(transcript, &header, base),
            Err(error) => results::failed(error, base),
        };
        let result = if self.expired && !self.canceled {
            results::expired(result)
        } else {
            result
        };
        if result.status == codes::STATUS_FAILED {
            tracing::warn!("a goal failed: {}", result.error_msg);
        }
        self.core
            .publish_answer(answer, &header, result.status, transcript.as_ref().ok());
        let ending = if self.canceled {
            self.until_canceling().await;
            Ending::Canceled
        } else if result.error_code == codes::NONE {
            Ending::Succeeded
        } else {
            Ending::Aborted
        };
        if let Err(error) = self.finish(ending, result) {
            tracing::warn!("a result could not be returned: {error}");
        }
        ending
    }

    fn finish(&mut self, ending: Ending, result: Reason::Result) -> r2r::Result<()> {
        match ending {
            Ending::Succeeded => self.goal.succeed(result),
            Ending::Aborted => self.goal.abort(result),
            Ending::Canceled => self.goal.cancel(result),
        }
    }

    /// Put an empty result in the place of one that nobody fetched in time: r2r 0.9.7 keeps them, and their maps, for
    /// ever.
    async fn forget(mut self, ending: Ending) {
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
