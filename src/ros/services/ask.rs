//! `~/ask`: a question about an image.

use std::sync::Arc;
use std::time::Instant;

use cooper_model::Error;
use cooper_model::engine::{Cancel, MapKind};
use cooper_model::reasoning::Transcript;
use cooper_perception::config::interfaces;
use cooper_perception::pipeline::Task;
use r2r::cooper_perception::srv::Ask;
use r2r::std_msgs::msg::Header;

use super::failure;
use crate::requests::{self, Accepted, Caller, ClientRequest, Completed};
use crate::shared::Shared;
use crate::{codes, convert};

/// Reply to a request.
pub async fn ask(shared: Arc<Shared>, request: Ask::Request) -> Ask::Response {
    let (caller, cancel) = (Caller::client(&interfaces::ASK), Cancel::default());
    let accepted = shared.ask(
        caller,
        client_request(request),
        Task::Answer,
        cancel.clone(),
    );
    let Accepted { events, question } = match accepted {
        Ok(accepted) => accepted,
        Err(error) => return failed(&error, Header::default()),
    };
    let Completed { execution, result } = requests::completion(events).await;
    let transcript = requests::into_transcript(result);
    let status = match &transcript {
        Ok(transcript) => codes::status_number(transcript.status),
        Err(Error::Canceled) => codes::STATUS_CANCELED,
        Err(_) => codes::STATUS_FAILED,
    };
    let answer = shared.publish_answer(question, &execution, status, transcript.as_ref());
    let header = convert::std_header(&execution.header());
    let response = match transcript {
        Ok(transcript) if status == codes::STATUS_CANCELED => {
            let failed = failed(&codes::stop_error(&cancel), header.clone());
            Ask::Response {
                success: false,
                message: failed.message,
                error_code: failed.error_code,
                ..answered(&transcript, header)
            }
        }
        Ok(transcript) => answered(&transcript, header),
        Err(error) => failed(&error, header),
    };
    Ask::Response {
        pictures: answer.pictures,
        evidence: answer.evidence,
        timings: answer.timings,
        ..response
    }
}

fn client_request(request: Ask::Request) -> ClientRequest {
    ClientRequest {
        received: Instant::now(),
        question: request.question,
        camera: request.camera,
        image: request.image,
        mode: request.mode,
        seed: request.seed,
        max_turns: request.max_turns,
        further_cameras: request.further_cameras,
        further_images: request.further_images,
    }
}

fn answered(transcript: &Transcript, header: Header) -> Ask::Response {
    let n_maps = |kind: MapKind| {
        let maps = transcript.evidence.iter();
        codes::count(maps.filter(|map| map.kind == kind).count())
    };
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
        depth_calls: n_maps(MapKind::Depth),
        segmentation_calls: n_maps(MapKind::Segmentation),
        ..Ask::Response::default()
    }
}

fn failed(error: &Error, header: Header) -> Ask::Response {
    let (error_code, message) = failure::report("ask", error);
    Ask::Response {
        error_code,
        message,
        header,
        ..Ask::Response::default()
    }
}
