//! `~/measure`: a typed question, answered in numbers and checked against maps or places.

use std::sync::Arc;
use std::time::Instant;

use cooper_model::engine::Cancel;
use cooper_model::measure::{Agreement, Axis, Kind, Measurement, Metric, Observation, conclude};
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::{Frame, Task, TaskResult};
use nalgebra::Point2;
use r2r::cooper_perception::msg::Answer;
use r2r::cooper_perception::srv::Measure;
use r2r::geometry_msgs::msg::Point;

use super::failure;
use crate::metric::{self, MetricResult, NO_CAMERA};
use crate::requests::{self, Accepted, Caller, ClientRequest, Completed};
use crate::shared::Shared;
use crate::{codes, convert};

/// Reply to a request.
pub async fn measure(shared: Arc<Shared>, request: Measure::Request) -> Measure::Response {
    let (completed, measurement, answer) = match ask(&shared, request).await {
        Ok(answered) => answered,
        Err(error) => return failed(&error),
    };
    let header = convert::std_header(&completed.header());
    let response = match completed.result {
        Ok(TaskResult::Measured(observation)) => {
            let frame = completed.execution.frame.as_deref();
            respond(&shared, &measurement, *observation, frame).await
        }
        Ok(_) => failed(&requests::wrong_result()),
        Err(error) => failed(&error),
    };
    Measure::Response {
        header,
        pictures: answer.pictures,
        evidence: answer.evidence,
        timings: answer.timings,
        ..response
    }
}

/// Put the question to the model, wait for its end, and publish the answer.
async fn ask(
    shared: &Shared,
    request: Measure::Request,
) -> Result<(Completed, Measurement, Answer)> {
    let kind = read_kind(request.kind)?;
    let measurement = Measurement::new(kind, read_axis(request.axis)?, &request.objects)?;
    let task = |_| Task::Measure(measurement.clone());
    let (caller, cancel) = (Caller::client(&interfaces::MEASURE), Cancel::default());
    let client_request = client_request(request, &measurement);
    let accepted = shared.ask(caller, client_request, task, cancel.clone())?;
    let Accepted {
        events,
        mut question,
    } = accepted;
    let mut completed = requests::completion(events).await;
    let wrong = requests::wrong_result();
    let (status, result) = match &completed.result {
        Ok(TaskResult::Measured(observation)) => {
            let transcript = &observation.transcript;
            // The trace needs the question as put to the model.
            question.question = observation.question.clone();
            question.settings.mode = observation.mode;
            (codes::status_number(transcript.status), Ok(transcript))
        }
        Err(error @ Error::Canceled) => (codes::STATUS_CANCELED, Err(error)),
        Err(error) => (codes::STATUS_FAILED, Err(error)),
        Ok(_) => (codes::STATUS_FAILED, Err(&wrong)),
    };
    let answer = shared.publish_answer(question, &completed.execution, status, result);
    if status == codes::STATUS_CANCELED {
        completed.result = Err(codes::stop_error(&cancel));
    }
    Ok((completed, measurement, answer))
}

fn client_request(request: Measure::Request, measurement: &Measurement) -> ClientRequest {
    ClientRequest {
        received: Instant::now(),
        question: measurement.question(),
        camera: request.camera,
        image: request.image,
        mode: request.mode,
        seed: request.seed,
        max_turns: request.max_turns,
        further_cameras: Vec::new(),
        further_images: Vec::new(),
    }
}

async fn respond(
    shared: &Shared,
    measurement: &Measurement,
    observation: Observation,
    frame: Option<&Frame>,
) -> Measure::Response {
    let metric = metric(shared, &observation, frame).await;
    let found = conclude(measurement, &observation, metric.as_ref().ok());
    let needs_metres = matches!(measurement.kind(), Kind::Distance | Kind::Size);
    let why_no_metres = metric
        .err()
        .filter(|_| needs_metres && found.agreement == Agreement::Unknown);
    let transcript = &observation.transcript;
    let remarks = [
        codes::remark(transcript.status).to_owned(),
        found.remark.clone(),
        why_no_metres.map_or(String::new(), |why| format!("no metres: {why}")),
    ];
    let remarks: Vec<String> = remarks.into_iter().filter(|r| !r.is_empty()).collect();
    Measure::Response {
        success: true,
        error_code: codes::NONE,
        message: convert::message_text(&remarks.join("; ")),
        question: convert::message_text(&observation.question),
        answer: convert::message_text(&transcript.answer),
        has_value: found.value.is_some(),
        value: found.value.unwrap_or(f64::NAN),
        unit: found.unit.into(),
        map_value: found.map_value.unwrap_or(f64::NAN),
        ordered: found.ordered,
        pixel: pixel(found.pixel),
        point: convert::point(found.point),
        agreement: agreement_number(found.agreement),
        ..unknown()
    }
}

/// The scale and the calibration of a camera's frame.
async fn metric(
    shared: &Shared,
    observation: &Observation,
    frame: Option<&Frame>,
) -> MetricResult<Metric> {
    let frame = frame.filter(|frame| !frame.camera.is_empty());
    let frame = frame.ok_or(NO_CAMERA)?;
    let camera = shared
        .camera(&frame.camera)
        .map_err(|error| error.to_string())?;
    let depth = observation.depth.as_ref().ok_or("no depth map was drawn")?;
    let depth = metric::fit(&camera.scale, frame, depth, shared.parameters.now()).await?;
    Ok(Metric {
        scale: depth.scale.affine,
        intrinsics: depth.calibration?.intrinsics,
    })
}

fn read_kind(kind: u8) -> Result<Kind> {
    let kinds = [
        (Measure::Request::DISTANCE as u8, Kind::Distance),
        (Measure::Request::SIZE as u8, Kind::Size),
        (Measure::Request::RELATION as u8, Kind::Relation),
        (Measure::Request::ORDER as u8, Kind::Order),
        (Measure::Request::COUNT as u8, Kind::Count),
        (Measure::Request::LOCATE as u8, Kind::Locate),
    ];
    read_number("kind", kind, &kinds)
}

fn read_axis(axis: u8) -> Result<Axis> {
    let axes = [
        (Measure::Request::ANY as u8, Axis::Any),
        (Measure::Request::X as u8, Axis::X),
        (Measure::Request::Y as u8, Axis::Y),
        (Measure::Request::Z as u8, Axis::Z),
    ];
    read_number("axis", axis, &axes)
}

/// The meaning of a number of the interface.
fn read_number<T: Copy>(field: &str, number: u8, known: &[(u8, T)]) -> Result<T> {
    let found = known.iter().find(|(known, _)| *known == number);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
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

fn pixel(pixel: Option<Point2<f64>>) -> Point {
    let nan = Point2::new(f64::NAN, f64::NAN);
    let Point2 { coords: p } = pixel.unwrap_or(nan);
    Point {
        x: p.x,
        y: p.y,
        z: 0.0,
    }
}

/// A response without results.
fn unknown() -> Measure::Response {
    Measure::Response {
        value: f64::NAN,
        map_value: f64::NAN,
        pixel: pixel(None),
        point: convert::point(None),
        ..Measure::Response::default()
    }
}

fn failed(error: &Error) -> Measure::Response {
    let (error_code, message) = failure::report("measure", error);
    Measure::Response {
        error_code,
        message,
        ..unknown()
    }
}
