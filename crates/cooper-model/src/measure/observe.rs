//! The model's answer to a measurement, and what it is compared with: where the objects are, maps, names.

use std::sync::Arc;

use image::RgbImage;
use nalgebra::Point2;

use super::measurement::{Kind, Measurement};
use crate::engine::{Control, Evidence, MapKind};
use crate::error::{Error, Result};
use crate::perception::{DepthMap, Segmentation, estimate_depth, segment};
use crate::reasoning::answers::{Axis, pixel_at_percent};
use crate::reasoning::{Mode, PromptedEngine, Settings, Status, Transcript, answer};

/// Tokens of an answer about a place.
const MAX_PLACE_TOKENS: usize = 64;
/// Regions whose names are asked for, the largest first.
pub const MAX_NAMED_REGIONS: usize = 16;

/// What the model calls the thing at a pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Pixels of the source image, x right, y down.
    pub at: Point2<f64>,
    /// In the model's words.
    pub name: String,
}

/// The answer and what it is compared with.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The question as the model got it.
    pub question: String,
    /// How it was answered: [`Kind::Locate`] is always answered directly.
    pub mode: Mode,
    /// The answer.
    pub transcript: Transcript,
    /// Of the source image: width, height.
    pub size: (u32, u32),
    /// Pixels of each object, where the model could tell; empty for [`Kind::Count`].
    pub places: Vec<Option<Point2<f64>>>,
    /// Relative depth, if the kind needs it.
    pub depth: Option<Arc<DepthMap>>,
    /// Regions, if the kind needs them.
    pub segmentation: Option<Segmentation>,
    /// Names of regions ([`Kind::Count`]), otherwise of what is at each place.
    pub names: Vec<Named>,
}

/// Ask a measurement about `image`. After the answer, the direct mode is asked for the place of each object (of
/// [`Kind::Locate`] that is the answer) and for what is at each place: at most two questions an object. For
/// [`Kind::Count`] it is asked for the names of at most [`MAX_NAMED_REGIONS`] regions instead.
///
/// Maps that the model drew while it answered are used; missing ones are drawn. After a stop during the answer, the
/// rest is left out.
///
/// # Errors
/// [`Error::Canceled`] after a stop behind the answer; otherwise if the network fails.
pub fn observe(
    model: PromptedEngine,
    image: &RgbImage,
    measurement: &Measurement,
    settings: &Settings,
    control: &mut Control,
) -> Result<Observation> {
    let (question, mode) = match measurement.kind() {
        Kind::Locate => {
            let object = &measurement.named()[0];
            (model.prompts.place.locate(object), Mode::Direct)
        }
        _ => (measurement.question(), settings.mode),
    };
    let asked = Settings {
        mode,
        ..settings.clone()
    };
    let transcript = answer(model, image, &question, &asked, control)?;
    let mut seen = Observation {
        question,
        mode,
        transcript,
        size: image.dimensions(),
        places: Vec::new(),
        depth: None,
        segmentation: None,
        names: Vec::new(),
    };
    if seen.transcript.status == Status::Canceled {
        return Ok(seen);
    }
    let observer = Observer {
        model,
        image,
        settings,
    };
    seen.places = observer.places(measurement, &seen.transcript, control)?;
    let needs = Needs::of(measurement);
    if needs.depth {
        seen.depth = Some(Arc::new(observer.depth(&seen.transcript, control)?));
    }
    if needs.regions {
        seen.segmentation = Some(observer.regions(&seen.transcript, control)?);
    }
    seen.names = observer.names(measurement.kind(), &seen, control)?;
    Ok(seen)
}

/// Which maps a measurement is checked against.
struct Needs {
    depth: bool,
    regions: bool,
}

impl Needs {
    fn of(measurement: &Measurement) -> Self {
        let compares_depth = matches!(measurement.axis(), Axis::Any | Axis::Z);
        Self {
            depth: match measurement.kind() {
                Kind::Distance | Kind::Size | Kind::Locate => true,
                Kind::Relation | Kind::Order => compares_depth,
                Kind::Count => false,
            },
            regions: matches!(measurement.kind(), Kind::Size | Kind::Count),
        }
    }
}

/// Ask the model what is at each of `places` of `image`, in pixels; empty where it has no answer.
///
/// # Errors
/// [`Error::Canceled`] after a stop; otherwise if the network fails.
pub fn names_at(
    model: PromptedEngine,
    image: &RgbImage,
    places: &[Point2<u32>],
    settings: &Settings,
    control: &Control,
) -> Result<Vec<String>> {
    let observer = Observer {
        model,
        image,
        settings,
    };
    let names = places.iter().map(|at| observer.name(at.cast(), control));
    names.collect()
}

fn last_map(transcript: &Transcript, kind: MapKind) -> Option<&Evidence> {
    transcript.evidence.iter().rfind(|map| map.kind == kind)
}

struct Observer<'a> {
    model: PromptedEngine<'a>,
    image: &'a RgbImage,
    settings: &'a Settings,
}

impl Observer<'_> {
    /// Where each object is, as far as the model can tell.
    fn places(
        &self,
        measurement: &Measurement,
        transcript: &Transcript,
        control: &Control,
    ) -> Result<Vec<Option<Point2<f64>>>> {
        let size = self.image.dimensions();
        match measurement.kind() {
            Kind::Count => Ok(Vec::new()),
            Kind::Locate => Ok(vec![pixel_at_percent(&transcript.answer, size)]),
            _ => {
                let named = measurement.named();
                let place = |object: &String| {
                    let question = self.model.prompts.place.locate(object);
                    let answer = self.answer_directly(&question, control)?;
                    Ok(pixel_at_percent(&answer, size))
                };
                named.iter().map(place).collect()
            }
        }
    }

    /// A short answer without thoughts and without progress reports.
    fn answer_directly(&self, question: &str, control: &Control) -> Result<String> {
        let mut settings = Settings {
            mode: Mode::Direct,
            ..self.settings.clone()
        };
        settings.sampling.temperature = 0.0;
        settings.sampling.max_new_tokens = settings.sampling.max_new_tokens.min(MAX_PLACE_TOKENS);
        let mut silent = Control::new(control.cancel().clone(), |_| {});
        let transcript = answer(self.model, self.image, question, &settings, &mut silent)?;
        match transcript.status {
            Status::Canceled => Err(Error::Canceled),
            _ => Ok(transcript.answer),
        }
    }

    /// The last depth map that the model drew while it answered, else a new one.
    fn depth(&self, transcript: &Transcript, control: &mut Control) -> Result<DepthMap> {
        if let Some(map) = last_map(transcript, MapKind::Depth)
            && let Some(values) = &map.depth
        {
            let (drawn, source) = (map.image.dimensions(), self.image.dimensions());
            return Ok(DepthMap::at_size(values.to_vec(), drawn, source));
        }
        let request = self.model.map_request(MapKind::Depth, self.settings);
        estimate_depth(self.model.engine, &request, self.image, control)
    }

    /// The regions of the last segmentation that the model drew while it answered, else of a new one.
    fn regions(&self, transcript: &Transcript, control: &mut Control) -> Result<Segmentation> {
        if let Some(map) = last_map(transcript, MapKind::Segmentation) {
            let palette = self.model.engine.config().palette.as_ref();
            let size = self.image.dimensions();
            return Ok(Segmentation::at_size(&map.image, size, palette));
        }
        let request = self.model.map_request(MapKind::Segmentation, self.settings);
        segment(self.model.engine, &request, self.image, control)
    }

    fn names(&self, kind: Kind, seen: &Observation, control: &Control) -> Result<Vec<Named>> {
        let places = seen.places.iter().flatten();
        // With the name that is known already.
        let mut places: Vec<(Point2<f64>, Option<String>)> = places.map(|at| (*at, None)).collect();
        if let (Kind::Count, Some(segmentation)) = (kind, &seen.segmentation) {
            let regions = segmentation.regions.iter().take(MAX_NAMED_REGIONS);
            let inner = segmentation.inner_pixels();
            let inside =
                regions.filter_map(|region| Some((inner.get(&region.id)?, region.name.clone())));
            places.extend(inside.map(|(at, name)| (at.cast::<f64>(), name)));
        }
        let named = places.into_iter().map(|(at, name)| {
            let name = name.map_or_else(|| self.name(at, control), Ok)?;
            Ok(Named { at, name })
        });
        named.collect()
    }

    /// What is at a pixel.
    fn name(&self, at: Point2<f64>, control: &Control) -> Result<String> {
        let (width, height) = self.image.dimensions();
        let percent = |at: f64, extent: u32| (((at + 0.5) / f64::from(extent)) * 100.0) as u32;
        let place = [percent(at.x, width), percent(at.y, height)];
        self.answer_directly(&self.model.prompts.place.name(place), control)
    }
}
