//! Whatever comes as a container's output, the same frames come out of it however it was cut, the decoder stops where a
//! stream is out of step, and it holds no more than one frame.

#![no_main]

use std::io::ErrorKind;

use arcane::docker::{FrameDecoder, Source};
use arcane_fuzz::{Draw, chunks};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;

const FRAME_LIMIT: usize = 4 << 20;
const LINE_LIMIT: usize = 64 << 10;
const HEADER: usize = 8;

type Frames = (Vec<(Source, Vec<u8>)>, Option<ErrorKind>);

fuzz_target!(|input: &[u8]| {
    let mut draw = Draw::new(input);
    let (kind, seed) = (draw.byte() % 3, draw.number());
    let stream = stream(&mut draw);
    match kind {
        0 => {
            let expected = framed(&stream);
            assert_eq!(decoded(FrameDecoder::Multiplexed, [&stream[..]].into_iter()), expected);
            assert_eq!(decoded(FrameDecoder::Multiplexed, chunks(&stream, seed)), expected);
        }
        1 => {
            let expected = (lines(&stream), None);
            assert_eq!(decoded(FrameDecoder::Lines, [&stream[..]].into_iter()), expected);
            assert_eq!(decoded(FrameDecoder::Lines, chunks(&stream, seed)), expected);
        }
        _ => {
            let (frames, error) = decoded(FrameDecoder::Raw, chunks(&stream, seed));
            let bytes: Vec<u8> = frames.into_iter().flat_map(|(_, bytes)| bytes).collect();
            assert_eq!((bytes, error), (stream, None));
        }
    }
});

/// Frames, parts of frames, and what is none, more of it than an input is long.
fn stream(draw: &mut Draw<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !draw.is_empty() && stream.len() < 256 << 10 {
        match draw.byte() % 8 {
            0..=2 => {
                let kind = draw.byte() % 4;
                let length = draw.below(64);
                frame(&mut stream, kind, draw.take(length));
            }
            3 => {
                let (kind, length, byte) = (draw.byte() % 4, 3 * draw.length(), draw.byte());
                frame(&mut stream, kind, &vec![byte; length]);
            }
            // A header and no more, mostly of a length that is too much.
            4 => {
                stream.extend([draw.byte() % 5, 0, 0, 0]);
                stream.extend_from_slice(draw.take(4));
            }
            5 => {
                let (length, byte) = (draw.length(), draw.byte());
                stream.extend(std::iter::repeat_n(byte, length));
            }
            6 => {
                let length = draw.below(64);
                stream.extend_from_slice(draw.take(length));
            }
            _ => stream.push(b'\n'),
        }
    }
    stream
}

fn frame(stream: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload is less than a megabyte");
    stream.extend([kind, 0, 0, 0]);
    stream.extend(length.to_be_bytes());
    stream.extend_from_slice(payload);
}

/// What comes out of a decoder, and why it stopped before the end.
fn decoded<'s>(mut decoder: FrameDecoder, chunks: impl Iterator<Item = &'s [u8]>) -> Frames {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push((frame.source, frame.bytes.to_vec())),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.kind())),
            }
        }
        // What is left waits for its end. A buffer grows by doubling.
        let most = 2 * (FRAME_LIMIT + HEADER + chunk.len());
        assert!(buffer.len() < HEADER + FRAME_LIMIT && buffer.capacity() <= most, "{}", buffer.capacity());
    }
    loop {
        match decoder.decode_eof(&mut buffer) {
            Ok(Some(frame)) => frames.push((frame.source, frame.bytes.to_vec())),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.kind())),
        }
    }
}

/// The frames of a whole stream, by the book.
fn framed(mut stream: &[u8]) -> Frames {
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let Some((header, rest)) = stream.split_first_chunk::<HEADER>() else {
            return (frames, Some(ErrorKind::UnexpectedEof));
        };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if header[0] > 3 || header[1..4] != [0, 0, 0] || length > FRAME_LIMIT {
            return (frames, Some(ErrorKind::InvalidData));
        }
        if rest.len() < length {
            return (frames, Some(ErrorKind::UnexpectedEof));
        }
        let source = [Source::Stdout, Source::Stdout, Source::Stderr, Source::Engine][usize::from(header[0])];
        frames.push((source, rest[..length].to_vec()));
        stream = &rest[length..];
    }
    (frames, None)
}

/// The lines of a whole terminal stream, those cut that are too long.
fn lines(stream: &[u8]) -> Vec<(Source, Vec<u8>)> {
    let lines = stream.split_inclusive(|&byte| byte == b'\n');
    lines.flat_map(|line| line.chunks(LINE_LIMIT)).map(|line| (Source::Stdout, line.to_vec())).collect()
}
