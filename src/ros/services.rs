//! The services: each request is a task of its own, so that a long one holds up nobody.

use std::future::Future;
use std::sync::Arc;

use cooper_model::engine::{Cancel, MapKind};
use cooper_model::reasoning::Transcript;
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::Interface;
use cooper_perception::config::{DepthEncoding, MAX_SAMPLES, interfaces};
use cooper_perception::pipeline::{Task, TaskResult};
use r2r::cooper_perception::srv::{Ask, EstimateDepth, GetStatus, Measure, Segment};
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::std_srvs::srv::Trigger;
use r2r::{Node, WrappedServiceTypeSupport};

use super::drawing::{Samples, samples_of};
use super::loading::{load_model, unload_model};
use super::measure::measure;
use super::metric_maps::{NO_CAMERA, metres};
use super::requests::{self, Accepted, Caller, ClientRequest, Core, Finished};
use super::segment::segment;
use super::tasks::Tasks;
use super::{codes, convert, status, topics};

/// Offer all services; the tasks end with the node.
///
/// # Errors
/// [`Error::Internal`] if the middleware refuses one.
pub fn offer(node: &mut Node, core: &Arc<Core>, tasks: &mut Tasks) -> Result<()> {
    serve::<Ask::Service, _>(node, &interfaces::ASK, core, tasks, ask)?;
    serve::<Measure::Service, _>(node, &interfaces::MEASURE, core, tasks, measure)?;
    serve::<EstimateDepth::Service, _>(
        node,
        &interfaces::ESTIMATE_DEPTH,
        core,
        tasks,
        estimate_depth,
    )?;
    serve::<Segment::Service, _>(node, &interfaces::SEGMENT, core, tasks, segment)?;
    serve::<GetStatus::Service, _>(node, &interfaces::GET_STATUS, core, tasks, get_status)?;
    serve::<Trigger::Service, _>(node, &interfaces::LOAD_MODEL, core, tasks, load_model)?;
    serve::<Trigger::Service, _>(node, &interfaces::UNLOAD_MODEL, core, tasks, unload_model)
}

fn serve<S, F>(
    node: &mut Node,
    interface: &Interface,
    core: &Arc<Core>,
    tasks: &mut Tasks,
    reply: fn(Arc<Core>, S::Request) -> F,
) -> Result<()>
where
    S: WrappedServiceTypeSupport + 'static,
    S::Request: Send,
    S::Response: Send,
    F: Future<Output = S::Response> + Send + 'static,
{
    let name = interface.name;
    let requests = node.create_service::<S>(name, topics::qos(interface.quality, false));
    let requests = requests.map_err(|error| topics::failed(name, &error))?;
    let mut requests = tasks.inboxes.of(requests);
    let core = core.clone();
    tasks.spawn(name, async move {
        while let Some(mut request) = requests.recv().await {
            let replied = reply(core.clone(), std::mem::take(&mut request.message));
            tokio::spawn(async move {
                if let Err(error) = request.respond(replied.await) {
                    tracing::warn!("a reply of {name} could not be sent: {error}");
                }
            });
        }
    });
    Ok(())
}

async fn ask(core: Arc<Core>, request: Ask::Request) -> Ask::Response {
    let inquiry = ClientRequest {
        question: request.question,
        camera: request.camera,
        image: request.image,
        mode: request.mode,
        seed: request.seed,
        max_turns: request.max_turns,
        further_cameras: request.further_cameras,
        further_images: request.further_images,
    };
    let (caller, cancel) = (Caller::of(&interfaces::ASK), Cancel::default());
    let Accepted { events, asked } = match core.ask(caller, inquiry, Task::Answer, cancel.clone()) {
        Ok(accepted) => accepted,
        Err(error) => return ask_failed(&error, Header::default()),
    };
    let Finished { ending, result } = requests::finished(events).await;
    let transcript = requests::transcript_of(result);
    let status = match &transcript {
        Ok(transcript) => codes::status_number(transcript.status),
        Err(Error::Canceled) => codes::STATUS_CANCELED,
        Err(_) => codes::STATUS_FAILED,
    };
    let told = core.conclude(asked, &ending, status, transcript.as_ref());
    let header = convert::std_header(&ending.header());
    let response = match transcript {
        Ok(transcript) if status == codes::STATUS_CANCELED => {
            let failed = ask_failed(&codes::stopped(&cancel), header.clone());
            Ask::Response {
                success: false,
                message: failed.message,
                error_code: failed.error_code,
                ..answered(&transcript, header)
            }
        }
        Ok(transcript) => answered(&transcript, header),
        Err(error) => ask_failed(&error, header),
    };
    Ask::Response {
        pictures: told.pictures,
        evidence: told.evidence,
        timings: told.timings,
        ..response
    }
}

fn answered(transcript: &Transcript, header: Header) -> Ask::Response {
    let calls = |kind: MapKind| {
        transcript
            .evidence
            .iter()
            .filter(|evidence| evidence.kind == kind)
            .count()
    };
    let count = |kind: MapKind| u32::try_from(calls(kind)).unwrap_or(u32::MAX);
    Ask::Response {
        success: true,
        message: codes::remark(transcript.status).into(),
        error_code: codes::NONE,
        header,
        answer: convert::message_text(&transcript.answer),
        text: convert::message_text(transcript.text()),
        turns: transcript
            .turns
            .iter()
            .map(|turn| convert::message_text(turn))
            .collect(),
        depth_calls: count(MapKind::Depth),
        segmentation_calls: count(MapKind::Segmentation),
        ..Ask::Response::default()
    }
}

fn ask_failed(error: &Error, header: Header) -> Ask::Response {
    let (error_code, message) = told("ask", error);
    Ask::Response {
        error_code,
        message,
        header,
        ..Ask::Response::default()
    }
}

async fn estimate_depth(
    core: Arc<Core>,
    request: EstimateDepth::Request,
) -> EstimateDepth::Response {
    let finished = match samples_of(request.confidence_samples, MAX_SAMPLES) {
        Err(error) => Finished::refused(error),
        Ok(_) => {
            let caller = Caller::of(&interfaces::ESTIMATE_DEPTH);
            let of = (request.camera.as_str(), &request.image, request.seed);
            map(&core, caller, of, |seed| Task::Depth { seed }).await
        }
    };
    let header = convert::std_header(&finished.header());
    estimated(&core, &request, finished)
        .await
        .unwrap_or_else(|error| {
            let (error_code, message) = told("estimate_depth", &error);
            EstimateDepth::Response {
                header,
                error_code,
                message,
                ..without_scale()
            }
        })
}

/// A reply that says nothing of metres.
fn without_scale() -> EstimateDepth::Response {
    EstimateDepth::Response {
        scale: f64::NAN,
        shift: f64::NAN,
        scale_age_s: f64::NAN,
        inlier_share: f64::NAN,
        median_error: f64::NAN,
        ..EstimateDepth::Response::default()
    }
}

/// The reply to a request whose first map is drawn.
async fn estimated(
    core: &Arc<Core>,
    request: &EstimateDepth::Request,
    finished: Finished,
) -> Result<EstimateDepth::Response> {
    let header = finished.header();
    let depth = match finished.result? {
        TaskResult::Depth(depth) => Arc::new(depth),
        _ => return Err(requests::wrong_outcome()),
    };
    let frame = finished.ending.frame.ok_or_else(requests::lost)?;
    let size = frame.image.dimensions();
    // Before more maps are drawn: what this one is compared with is kept for a while only.
    let metres = match core.camera(&frame.camera) {
        Ok(camera) if !frame.camera.is_empty() => metres(core, camera, &frame, &depth).await,
        _ => Err(NO_CAMERA.into()),
    };
    let confidence = match samples_of(request.confidence_samples, MAX_SAMPLES)? {
        None => Image::default(),
        Some(n) => {
            let seed = requests::seed_of(request.seed)?;
            let samples = Samples {
                n,
                seed: seed.unwrap_or(core.parameters.settings()?.seed),
                caller: Caller::of(&interfaces::ESTIMATE_DEPTH),
            };
            let confidence = samples.confidence(core, &frame, &depth).await?;
            convert::float_image(&confidence, size, &header)
        }
    };
    let relative = EstimateDepth::Response {
        success: true,
        error_code: codes::NONE,
        header: convert::std_header(&header),
        depth_relative: convert::depth_image(&depth, &header),
        color: convert::rgb_image(&depth.color, &header),
        confidence,
        ..without_scale()
    };
    Ok(match metres {
        Ok(metres) => EstimateDepth::Response {
            depth: convert::metres_image(&metres.values, size, DepthEncoding::Metres, &header),
            scale: metres.scale.affine.scale,
            shift: metres.scale.affine.shift,
            scale_valid: true,
            scale_age_s: metres.scale.age_s,
            inlier_share: metres.scale.fit.inlier_share,
            median_error: metres.scale.fit.median_error,
            ..relative
        },
        Err(why) => EstimateDepth::Response {
            message: convert::message_text(&format!("no metric depth: {why}")),
            ..relative
        },
    })
}

/// Draw a map of a request's image.
async fn map(
    core: &Core,
    caller: Caller,
    (camera, image, seed): (&str, &Image, i64),
    work: fn(Option<u64>) -> Task,
) -> Finished {
    let submitted = requests::seed_of(seed).and_then(|seed| {
        let frame = core.frame_source(camera, image)?;
        core.submit(caller, frame, work(seed), Cancel::default())
    });
    match submitted {
        Ok(events) => requests::finished(events).await,
        Err(error) => Finished::refused(error),
    }
}

async fn get_status(core: Arc<Core>, _request: GetStatus::Request) -> GetStatus::Response {
    status::status(&core).await
}

/// An error's number and words for the client; logged here, once.
pub(super) fn told(service: &str, error: &Error) -> (u16, String) {
    tracing::warn!(service, "refused or failed: {error}");
    (
        codes::error_code(error),
        convert::message_text(&error.to_string()),
    )
}
