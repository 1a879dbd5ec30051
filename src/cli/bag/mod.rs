//! `cooper bag`: the node's topics of a recording, without ROS.

mod answer;
mod args;
mod job;
mod topics;

use cooper_bag::{
    Camera, DEFAULT_NAME, Damage, Input, Output, RateLimiter, Survey, select_cameras,
};
use cooper_model::{Error, Result};
use cooper_perception::config::{Accepts, Value};

pub(super) use self::args::BagArgs;
use self::job::{Ended, Job, Watched, note_loss};
use self::topics::node_topics;
use super::batch;
use super::progress::{count, note};
use super::verdict::Verdict;

impl BagArgs {
    /// Read, work, write; bad if it was interrupted.
    pub(super) fn run(self) -> Result<Verdict> {
        let tasks = self.tasks()?;
        let folder_camera = self.camera.first().map_or(DEFAULT_NAME, String::as_str);
        let input = Input::find(&self.input, folder_camera, self.rate.unwrap_or(1.0))?;
        Output::check(&self.output, input.files())?;
        let cancel = batch::stop_on_interrupt()?;
        note(&format!("reading {}", self.input.display()));
        if let Some(remark) = input.remark() {
            note(&remark);
        }
        let survey = input.survey()?;
        let lost = survey.damage.lines();
        lost.iter().for_each(|loss| note_loss(loss));
        let (cameras, remarks) = select_cameras(&survey.topics, &self.topic, &self.camera)?;
        let names = cameras.iter().map(|camera| camera.name.clone()).collect();
        Accepts::TopicNames
            .check(&Value::Texts(names))
            .map_err(|why| Error::invalid("--camera", why))?;
        remarks.iter().for_each(|remark| note(remark));
        let cameras = self.watched(cameras, &input, &survey);
        for Watched { camera, n_used, .. } in &cameras {
            note(&format!(
                "{} as camera {}: {}",
                camera.topic,
                camera.name,
                count(*n_used, "image")
            ));
        }
        let model = self.model.load()?;
        let settings =
            self.model
                .answer_settings(&self.sampling, self.mode.into(), self.max_turns)?;
        let mut job = Job {
            tasks,
            settings,
            model,
            output: Output::create(&self.output, input.files())?,
            own: node_topics(cameras.iter().map(|watched| &watched.camera)),
            progress: batch::Progress::new(cameras.iter().map(|watched| watched.n_used).sum()),
            cameras,
            cancel,
            answers: Vec::new(),
            lost,
            failures: Damage::default(),
            args: &self,
        };
        let worked = job.work(&input);
        job.progress.finish();
        job.finish(match worked {
            Ok(()) => Ended::Done,
            Err(Error::Canceled) => Ended::Interrupted,
            Err(error) => return Err(error),
        })
    }

    /// The cameras, each with the number of its images that are used.
    fn watched(&self, cameras: Vec<Camera>, input: &Input, survey: &Survey) -> Vec<Watched> {
        // The rate of a folder gives its stamps; every image is used.
        let rate = self.rate.filter(|_| matches!(input, Input::Bag(_)));
        let pace = RateLimiter::new(self.every, rate);
        let watched = |camera: Camera| {
            let mut counted = pace.clone();
            let times = survey
                .topics
                .get(&camera.topic)
                .map(|topic| &topic.log_times);
            let used = times
                .into_iter()
                .flatten()
                .filter(|time| counted.takes(**time));
            Watched {
                n_used: used.count(),
                n_done: 0,
                pace: pace.clone(),
                camera,
            }
        };
        cameras.into_iter().map(watched).collect()
    }
}
