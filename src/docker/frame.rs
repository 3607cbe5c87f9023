//! How the engine packs the output of a container: frames of stdout and stderr, or, with a terminal, one raw stream.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// The longest frame that is believed. Engines write at most 256 KiB (awslogs), usually 16 KiB.
const FRAME_LIMIT: usize = 4 << 20;
/// The longest line of a terminal that is kept together.
const LINE_LIMIT: usize = 64 << 10;
const HEADER: usize = 8;

/// A piece of a container's output, as the engine packed it: of a log one message, which may be a part of a long
/// line, after its time stamp; of a running command whatever came at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// Who wrote it.
    pub source: Source,
    /// The bytes.
    pub bytes: Bytes,
}

/// Who wrote a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The container, to standard output; everything of a container with a terminal.
    Stdout,
    /// The container, to standard error.
    Stderr,
    /// The engine, about a log that it cannot read. The stream goes on.
    Engine,
}

/// Takes frames off a stream.
#[derive(Debug)]
pub enum FrameDecoder {
    /// Frames with a header.
    Multiplexed,
    /// A terminal's stream, line by line.
    Lines,
    /// A terminal's stream, as it comes.
    Raw,
}

impl Decoder for FrameDecoder {
    type Item = LogFrame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<LogFrame>> {
        match self {
            Self::Multiplexed => multiplexed(buffer),
            Self::Lines => Ok(line(buffer)),
            Self::Raw => Ok(rest(buffer)),
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<LogFrame>> {
        match self.decode(buffer)? {
            Some(frame) => Ok(Some(frame)),
            None if buffer.is_empty() => Ok(None),
            None if matches!(self, Self::Multiplexed) => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Ok(rest(buffer)),
        }
    }
}

fn multiplexed(buffer: &mut BytesMut) -> io::Result<Option<LogFrame>> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let source = match header {
        [0 | 1, 0, 0, 0, ..] => Source::Stdout,
        [2, 0, 0, 0, ..] => Source::Stderr,
        [3, 0, 0, 0, ..] => Source::Engine,
        _ => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the log stream is out of step"));
        }
    };
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if length > FRAME_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    if buffer.len() < HEADER + length {
        buffer.reserve(HEADER + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER);
    Ok(Some(LogFrame { source, bytes: buffer.split_to(length).freeze() }))
}

fn line(buffer: &mut BytesMut) -> Option<LogFrame> {
    // No further than that, for how a stream was cut must not show.
    let end = match buffer.iter().take(LINE_LIMIT).position(|&byte| byte == b'\n') {
        Some(position) => position + 1,
        None if buffer.len() >= LINE_LIMIT => LINE_LIMIT,
        None => return None,
    };
    Some(LogFrame { source: Source::Stdout, bytes: buffer.split_to(end).freeze() })
}

fn rest(buffer: &mut BytesMut) -> Option<LogFrame> {
    (!buffer.is_empty()).then(|| LogFrame { source: Source::Stdout, bytes: buffer.split().freeze() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(kind: u8, text: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        out.extend_from_slice(text);
        out
    }

    fn decode(mut decoder: FrameDecoder, pieces: &[&[u8]]) -> io::Result<Vec<(Source, Vec<u8>)>> {
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut buffer)? {
                frames.push((frame.source, frame.bytes.to_vec()));
            }
        }
        while let Some(frame) = decoder.decode_eof(&mut buffer)? {
            frames.push((frame.source, frame.bytes.to_vec()));
        }
        Ok(frames)
    }

    #[test]
    fn the_engines_own_words_do_not_end_the_stream() {
        let bytes = [packed(1, b"a\n"), packed(3, b"Error grabbing logs: EOF"), packed(2, b"b\n")].concat();
        let frames = decode(FrameDecoder::Multiplexed, &[&bytes]).unwrap();
        let expected = vec![
            (Source::Stdout, b"a\n".to_vec()),
            (Source::Engine, b"Error grabbing logs: EOF".to_vec()),
            (Source::Stderr, b"b\n".to_vec()),
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn broken_streams_are_errors() {
        for bytes in
            [&b"plain text, no header"[..], &[1, 0, 0, 0, 255, 255, 255, 255], &packed(1, b"whole")[..12]]
        {
            assert!(decode(FrameDecoder::Multiplexed, &[bytes]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_terminal_is_cut_into_lines() {
        let frames = decode(FrameDecoder::Lines, &[b"one\r\ntw", b"o\nthree"]).unwrap();
        let texts: Vec<_> = frames.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(texts, [b"one\r\n".to_vec(), b"two\n".to_vec(), b"three".to_vec()]);
        let long = vec![b'x'; LINE_LIMIT + 5];
        let frames = decode(FrameDecoder::Lines, &[&long]).unwrap();
        assert_eq!(frames.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [LINE_LIMIT, 5]);
    }

    #[test]
    fn a_long_line_of_a_terminal_is_cut_in_the_same_places_however_it_comes() {
        let line = [&vec![b'x'; LINE_LIMIT + 5][..], b"\nnext\n"].concat();
        let (start, end) = line.split_at(LINE_LIMIT / 2);
        for pieces in [&[&line[..]][..], &[start, end]] {
            let frames = decode(FrameDecoder::Lines, pieces).unwrap();
            assert_eq!(frames.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [LINE_LIMIT, 6, 5]);
        }
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            texts in prop::collection::vec((1_u8..4, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 0_usize..200,
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|(kind, text)| packed(*kind, text)).collect();
            let (left, right) = bytes.split_at(cut.min(bytes.len()));
            let frames = decode(FrameDecoder::Multiplexed, &[left, right]).unwrap();
            let sources = [Source::Stdout, Source::Stderr, Source::Engine];
            let expected: Vec<_> =
                texts.into_iter().map(|(kind, text)| (sources[usize::from(kind) - 1], text)).collect();
            prop_assert_eq!(frames, expected);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(FrameDecoder::Multiplexed, &[&bytes]);
        }
    }
}
