//! What the tests of evaluation share: folders, images, and a judge's endpoint.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use image::{Rgb, RgbImage};

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// An image whose bytes differ with `n`, too large for an index of VLMEvalKit.
pub fn image(n: u8) -> RgbImage {
    RgbImage::from_fn(24, 16, |x, y| Rgb([x as u8 * 9, y as u8 * 11, n]))
}

/// Serve these replies (status, body) one after another, and give back what was asked.
pub fn endpoint(replies: Vec<(u16, String)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = move |(status, body): (u16, String)| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            head += &line;
        }
        let mut asked = vec![0; length];
        reader.read_exact(&mut asked).unwrap();
        let n = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {n}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        head + &String::from_utf8(asked).unwrap()
    };
    let thread = std::thread::spawn(move || replies.into_iter().map(serve).collect());
    (url, thread)
}

pub fn reply(content: &str) -> (u16, String) {
    let body = serde_json::json!({"choices": [{"message": {"content": content}}]});
    (200, body.to_string())
}
