//! `~/measure`: a typed question, answered in numbers, and checked against the maps.

use std::sync::Arc;

use cooper_model::engine::Cancel;
use cooper_model::measure::{Agreement, Axis, Kind, Measurement, Metric, Observation, conclude};
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{Frame, Task, TaskResult};
use nalgebra::Point2;
use r2r::cooper_perception::msg::Answer;
use r2r::cooper_perception::srv::Measure;
use r2r::geometry_msgs::msg::Point;

use super::metric_maps::{NO_CAMERA, metres};
use super::requests::{self, Accepted, Caller, ClientRequest, Core, Finished};
use super::{codes, convert};

/// Answer a request.
pub async fn measure(core: Arc<Core>, request: Measure::Request) -> Measure::Response {
    let (finished, measurement, told) = match begin(&core, request).await {
        Ok(begun) => begun,
        Err(error) => return failed(&error),
    };
    let header = convert::std_header(&finished.header());
    let response = match finished.result {
        Ok(TaskResult::Measured(seen)) => {
            let frame = finished.ending.frame.as_deref();
            reply(&core, &measurement, *seen, frame).await
        }
        Ok(_) => failed(&requests::wrong_outcome()),
        Err(error) => failed(&error),
    };
    Measure::Response {
        header,
        pictures: told.pictures,
        evidence: told.evidence,
        timings: told.timings,
        ..response
    }
}

/// Ask, wait, and tell the answer on its topic.
async fn begin(core: &Core, request: Measure::Request) -> Result<(Finished, Measurement, Answer)> {
    let kind = kind_of(request.kind)?;
    let measurement = Measurement::new(kind, axis_of(request.axis)?, &request.objects)?;
    let inquiry = ClientRequest {
        question: measurement.question(),
        camera: request.camera,
        image: request.image,
        mode: request.mode,
        seed: request.seed,
        max_turns: request.max_turns,
        further_cameras: Vec::new(),
        further_images: Vec::new(),
    };
    let work = |question| Task::Measure(measurement.clone(), question);
    let (caller, cancel) = (Caller::of(&interfaces::MEASURE), Cancel::default());
    let Accepted { events, mut asked } = core.ask(caller, inquiry, work, cancel.clone())?;
    let mut finished = requests::finished(events).await;
    let wrong = requests::wrong_outcome();
    let (status, outcome) = match &finished.result {
        Ok(TaskResult::Measured(seen)) => {
            let transcript = &seen.transcript;
            // As it was put to the model, for the trace.
            asked.question = seen.question.clone();
            (codes::status_number(transcript.status), Ok(transcript))
        }
        Err(error @ Error::Canceled) => (codes::STATUS_CANCELED, Err(error)),
        Err(error) => (codes::STATUS_FAILED, Err(error)),
        Ok(_) => (codes::STATUS_FAILED, Err(&wrong)),
    };
    let told = core.conclude(asked, &finished.ending, status, outcome);
    if status == codes::STATUS_CANCELED {
        finished.result = Err(codes::stopped(&cancel));
    }
    Ok((finished, measurement, told))
}

async fn reply(
    core: &Arc<Core>,
    measurement: &Measurement,
    seen: Observation,
    frame: Option<&Frame>,
) -> Measure::Response {
    let metric = metric(core, &seen, frame).await;
    let found = conclude(measurement, &seen, metric.as_ref().ok());
    let no_metres = metric
        .err()
        .filter(|_| found.agreement == Agreement::Unknown);
    let remarks = [
        codes::remark(seen.transcript.status).to_owned(),
        found.remark.clone(),
        no_metres.map_or(String::new(), |why| format!("no metres: {why}")),
    ];
    let remarks: Vec<String> = remarks.into_iter().filter(|r| !r.is_empty()).collect();
    Measure::Response {
        success: true,
        error_code: codes::NONE,
        message: convert::message_text(&remarks.join("; ")),
        question: convert::message_text(&seen.question.text),
        answer: convert::message_text(&seen.transcript.answer),
        has_value: found.value.is_some(),
        value: found.value.unwrap_or(f64::NAN),
        unit: found.unit.into(),
        map_value: found.map_value.unwrap_or(f64::NAN),
        ordered: found.ordered,
        pixel: pixel(found.pixel),
        point: convert::point(found.point),
        agreement: agreement_number(found.agreement),
        ..nothing()
    }
}

/// What makes metres of the maps of a camera's frame.
///
/// # Errors
/// Why there are none.
async fn metric(
    core: &Arc<Core>,
    seen: &Observation,
    frame: Option<&Frame>,
) -> std::result::Result<Metric, String> {
    let frame = frame.filter(|frame| !frame.camera.is_empty());
    let frame = frame.ok_or(NO_CAMERA)?;
    let camera = core
        .camera(&frame.camera)
        .map_err(|error| error.to_string())?;
    let depth = seen.depth.as_ref().ok_or("no depth map was drawn")?;
    let metres = metres(core, camera, frame, depth).await?;
    Ok(Metric {
        scale: metres.scale.affine,
        intrinsics: metres.calibration?.intrinsics,
    })
}

fn kind_of(kind: u8) -> Result<Kind> {
    let kinds = [
        (Measure::Request::DISTANCE as u8, Kind::Distance),
        (Measure::Request::SIZE as u8, Kind::Size),
        (Measure::Request::RELATION as u8, Kind::Relation),
        (Measure::Request::ORDER as u8, Kind::Order),
        (Measure::Request::COUNT as u8, Kind::Count),
        (Measure::Request::LOCATE as u8, Kind::Locate),
    ];
    named("kind", kind, &kinds)
}

fn axis_of(axis: u8) -> Result<Axis> {
    let axes = [
        (Measure::Request::ANY as u8, Axis::Any),
        (Measure::Request::X as u8, Axis::X),
        (Measure::Request::Y as u8, Axis::Y),
        (Measure::Request::Z as u8, Axis::Z),
    ];
    named("axis", axis, &axes)
}

/// What a number of the interface stands for.
fn named<T: Copy>(field: &str, number: u8, known: &[(u8, T)]) -> Result<T> {
    let found = known.iter().find(|(known, _)| *known == number);
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let why = format!("expected 0 to {}, got {number}", known.len() - 1);
        Error::invalid(field, why)
    })
}

fn agreement_number(agreement: Agreement) -> u8 {
    match agreement {
        Agreement::Unknown => Measure::Response::UNKNOWN as u8,
        Agreement::Consistent => Measure::Response::CONSISTENT as u8,
        Agreement::Contradicts => Measure::Response::CONTRADICTS as u8,
    }
}

fn pixel(place: Option<Point2<f64>>) -> Point {
    let nan = Point2::new(f64::NAN, f64::NAN);
    let Point2 { coords: p } = place.unwrap_or(nan);
    Point {
        x: p.x,
        y: p.y,
        z: 0.0,
    }
}

/// A reply in which nothing is known.
fn nothing() -> Measure::Response {
    Measure::Response {
        value: f64::NAN,
        map_value: f64::NAN,
        pixel: pixel(None),
        point: convert::point(None),
        ..Measure::Response::default()
    }
}

fn failed(error: &Error) -> Measure::Response {
    let (error_code, message) = super::services::told("measure", error);
    Measure::Response {
        error_code,
        message,
        ..nothing()
    }
}
