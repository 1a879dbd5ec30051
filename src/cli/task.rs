//! One task of the model, with its progress on standard error.

use cooper_model::engine::{Cancel, Control, Images};
use cooper_model::reasoning::Transcript;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Frame, ModelRunner, Settings, Task, TaskResult};

use super::progress::{Reporter, TextOutput};

/// How a task runs.
pub(super) struct TaskRun<'a> {
    pub(super) settings: &'a Settings,
    pub(super) cancel: &'a Cancel,
    pub(super) text: TextOutput,
}

impl TaskRun<'_> {
    /// Run a task and show its progress.
    ///
    /// # Errors
    /// Those of the model, and the first failure to print.
    pub(super) fn run(
        &self,
        model: &mut impl ModelRunner,
        images: &Images,
        task: &Task,
    ) -> Result<TaskResult> {
        let reads = match task {
            Task::Depth | Task::Segment => "the image",
            Task::Answer(_) | Task::Measure(_) | Task::Name(_) => "the image and the question",
        };
        let mut reporter = Reporter::new(self.text, reads);
        let result = {
            let mut control = Control::new(self.cancel.clone(), |progress| {
                if !reporter.show(&progress) {
                    self.cancel.cancel();
                }
            });
            model.run_task(images, task, self.settings, &mut control)
        };
        reporter.finish()?;
        result
    }

    /// Ask a question about a frame and show its progress.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub(super) fn ask(
        &self,
        model: &mut impl ModelRunner,
        frame: &Frame,
        question: &str,
    ) -> Result<Transcript> {
        let task = Task::Answer(question.to_owned());
        match self.run(model, &frame.images(), &task)? {
            TaskResult::Answer(transcript) => Ok(transcript),
            _ => Err(Error::Internal("a question brought a map".into())),
        }
    }
}
