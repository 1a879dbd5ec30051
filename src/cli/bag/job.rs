//! The work of `cooper bag`: image by image, from a message to the messages that come of it.

use std::collections::BTreeSet;

use cooper_bag::{BagMessage, Camera, Damage, Input, Output, RateLimiter};
use cooper_model::engine::Cancel;
use cooper_model::perception::{DepthMap, Segmentation};
use cooper_model::reasoning::Transcript;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Frame, LoadedModel, ModelRunner, Settings, Task, TaskResult};
use serde_json::{Value, json};

use super::super::progress::{count, note, printable};
use super::super::verdict::Verdict;
use super::super::{batch, output};
use super::answer::Answer;
use super::args::BagArgs;
use super::topics::{write_answer, write_depth, write_segmentation};

/// Whether all messages were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Interrupted,
}

/// A camera whose images are worked on.
pub(super) struct Watched {
    pub camera: Camera,
    pub pace: RateLimiter,
    pub n_used: usize,
    pub n_done: usize,
}

/// The results of one image.
#[derive(Default)]
struct Made {
    depth: Option<DepthMap>,
    segmentation: Option<Segmentation>,
    answer: Option<Result<Transcript>>,
}

/// The whole work, without the input.
pub(super) struct Job<'a> {
    pub args: &'a BagArgs,
    pub tasks: Vec<Task>,
    pub model: LoadedModel,
    pub settings: Settings,
    pub cancel: Cancel,
    pub output: Output,
    pub cameras: Vec<Watched>,
    /// Topics that are written, and therefore not copied.
    pub own: BTreeSet<String>,
    pub progress: batch::Progress,
    pub answers: Vec<Value>,
    /// What could not be read.
    pub lost: Vec<String>,
    /// What could not be worked on.
    pub failures: Damage,
}

impl Job<'_> {
    /// Go through the messages.
    pub fn work(&mut self, input: &Input) -> Result<()> {
        let mut messages = input.messages()?;
        let mut n_used = 0;
        while let Some(message) = messages.next_message()? {
            self.cancel.check()?;
            let topic = &message.channel.topic;
            if self.args.copy && !self.own.contains(topic) {
                self.output.copy(&message)?;
            }
            let watched = self.cameras.iter().position(|w| w.camera.topic == *topic);
            let Some(at) = watched else {
                continue;
            };
            if !self.cameras[at].pace.takes(message.log_time) {
                continue;
            }
            match self.image(at, &message) {
                Ok(()) => self.cameras[at].n_done += 1,
                Err(error @ (Error::Canceled | Error::Io { .. })) => return Err(error),
                Err(error) => self.fail(topic, &message, &error),
            }
            n_used += 1;
            self.progress.done(n_used);
        }
        // Of a folder, images that are none are found on the way only.
        for loss in messages.damage().lines() {
            if !self.lost.contains(&loss) {
                self.progress.above(|| note_loss(&loss));
                self.lost.push(loss);
            }
        }
        Ok(())
    }

    /// Carry out the tasks on one image; nothing is written if one fails.
    fn image(&mut self, at: usize, message: &BagMessage) -> Result<()> {
        let camera = self.cameras[at].camera.clone();
        let (header, image) = camera.read(message)?;
        let frame = Frame::new(&camera.name, header, image);
        let mut made = Made::default();
        for task in &self.tasks {
            let mut control = batch::control(&self.cancel);
            let outcome = self
                .model
                .run_task(&frame.images(), task, &self.settings, &mut control);
            // A question that was stopped has a transcript all the same.
            self.cancel.check()?;
            match (outcome, task) {
                (Ok(TaskResult::Depth(map)), _) => made.depth = Some(map),
                (Ok(TaskResult::Segmentation(map)), _) => made.segmentation = Some(map),
                (Ok(TaskResult::Answer(transcript)), _) => made.answer = Some(Ok(transcript)),
                (Ok(TaskResult::Measured(_) | TaskResult::Names(_)), _) => {
                    return Err(Error::Internal("a bag asks for no measurement".into()));
                }
                (Err(error), Task::Answer(_)) => made.answer = Some(Err(error)),
                (Err(error), _) => return Err(error),
            }
        }
        self.write(&camera, &frame, message, made)
    }

    fn write(
        &mut self,
        camera: &Camera,
        frame: &Frame,
        message: &BagMessage,
        made: Made,
    ) -> Result<()> {
        let times = message.into();
        if let Some(map) = &made.depth {
            write_depth(&mut self.output, frame, times, map)?;
        }
        if let Some(map) = &made.segmentation {
            write_segmentation(&mut self.output, frame, times, map)?;
        }
        let (Some(answered), Some(question)) = (made.answer, &self.args.question) else {
            return Ok(());
        };
        let transcript = answered.as_ref().ok();
        let answer = Answer {
            frame,
            question,
            answer: transcript.map_or("", |transcript| transcript.answer.as_str()),
            text: transcript.map_or("", Transcript::text),
            mode: self.settings.mode,
            status: transcript.map(|transcript| transcript.status),
            seed: self.settings.seed,
            evidence: transcript.map_or(&[], |transcript| &transcript.evidence),
        };
        write_answer(&mut self.output, times, &answer)?;
        if let Err(error) = &answered {
            self.fail(&camera.topic, message, error);
        }
        let row = describe(&answer);
        if !self.args.json {
            let line = line(&row);
            let mut printed = Ok(());
            self.progress.above(|| printed = output::print(&line));
            printed?;
        }
        self.answers.push(row);
        Ok(())
    }

    fn fail(&mut self, topic: &str, message: &BagMessage, error: &Error) {
        let seconds = message.log_time as f64 / 1e9;
        let failure = format!("{topic} at {seconds:.3} s: {error}");
        self.progress.above(|| note(&format!("failed: {failure}")));
        self.failures.add(failure);
    }

    /// Complete the output file and print what is in it; bad if the work was interrupted.
    pub fn finish(self, ended: Ended) -> Result<Verdict> {
        let interrupted = ended == Ended::Interrupted;
        let n_done: usize = self.cameras.iter().map(|watched| watched.n_done).sum();
        let n_used: usize = self.cameras.iter().map(|watched| watched.n_used).sum();
        let failures = self.failures.lines();
        if let (0, false, Some(first)) = (n_done, interrupted, failures.first()) {
            let why =
                format!("expected an image that can be worked on, got none; the first: {first}");
            return Err(Error::invalid(self.args.input.display().to_string(), why));
        }
        let mut summary = self.summary(&failures, ended);
        summary["messages"] = json!(self.output.finish()?);
        let how = if interrupted {
            "interrupted after"
        } else {
            "done:"
        };
        note(&format!(
            "{how} {n_done} of {}: {}",
            count(n_used, "image"),
            self.args.output.display()
        ));
        if self.args.json {
            output::print_json(&summary)?;
        }
        Ok(Verdict::good_if(!interrupted))
    }

    fn summary(&self, failures: &[String], ended: Ended) -> Value {
        let cameras = self.cameras.iter().map(|watched| {
            json!({
                "name": watched.camera.name, "topic": watched.camera.topic,
                "pictures": watched.n_used, "done": watched.n_done,
            })
        });
        let info = self.model.info();
        json!({
            "input": self.args.input,
            "output": self.args.output,
            "interrupted": ended == Ended::Interrupted,
            "cameras": cameras.collect::<Vec<_>>(),
            // Known when the file is complete.
            "messages": null,
            "lost": self.lost,
            "failed": failures,
            "question": self.args.question,
            "answers": self.answers,
            "mode": self.settings.mode,
            "max_turns": self.settings.max_turns,
            "seed": self.settings.seed,
            "flow": self.settings.flow,
            "sampling": self.settings.sampling,
            "model": {"dir": info.dir, "device": info.device, "dtype": info.dtype},
        })
    }
}

/// Print what could not be read.
pub(super) fn note_loss(loss: &str) {
    note(&format!("lost: {loss}"));
}

fn describe(answer: &Answer<'_>) -> Value {
    let header = &answer.frame.header;
    json!({
        "camera": answer.frame.camera,
        "stamp": format!("{}.{:09}", header.stamp_secs, header.stamp_nanos),
        "status": answer.status.map_or(json!("FAILED"), |status| json!(status)),
        "answer": answer.answer,
    })
}

/// An answer as a line: when, which camera, how it ended, what it is.
fn line(row: &Value) -> String {
    let word = |key: &str| printable(row[key].as_str().unwrap_or_default()).replace('\n', " ");
    let words = ["stamp", "camera", "status", "answer"].map(word);
    words.join("  ").trim_end().to_owned() + "\n"
}
