//! A layer as its engine hands it over, unpacked: plain, gzip or zstd, told by its first bytes.

use std::io::{self, Write as _};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

enum Decoder {
    /// Fewer bytes than tell what it is.
    Unknown(Vec<u8>),
    Plain,
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

impl Decoder {
    fn of(first: &[u8]) -> io::Result<Self> {
        if first.starts_with(&GZIP) {
            return Ok(Self::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())));
        }
        if first.starts_with(&ZSTD) {
            return Ok(Self::Zstd(zstd::stream::write::Decoder::new(Vec::new())?));
        }
        Ok(Self::Plain)
    }

    fn feed(&mut self, chunk: Bytes) -> io::Result<Bytes> {
        match self {
            Self::Unknown(first) => {
                first.extend_from_slice(&chunk);
                if first.len() < ZSTD.len() {
                    return Ok(Bytes::new());
                }
                self.begin()
            }
            Self::Plain => Ok(chunk),
            Self::Gzip(decoder) => {
                decoder.write_all(&chunk)?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Zstd(decoder) => {
                decoder.write_all(&chunk)?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }

    /// Chooses by what was kept, and feeds that.
    fn begin(&mut self) -> io::Result<Bytes> {
        let Self::Unknown(first) = self else { return Ok(Bytes::new()) };
        let first = Bytes::from(std::mem::take(first));
        *self = Self::of(&first)?;
        self.feed(first)
    }

    fn end(mut self) -> io::Result<Bytes> {
        let mut out = self.begin()?.to_vec();
        match self {
            Self::Gzip(decoder) => out.extend(decoder.finish()?),
            Self::Zstd(mut decoder) => {
                decoder.flush()?;
                out.extend(decoder.into_inner());
            }
            Self::Unknown(_) | Self::Plain => {}
        }
        Ok(out.into())
    }
}

/// The unpacked bytes of a stream. A packed stream that breaks off is an error.
pub(super) fn unpacked<S>(chunks: S) -> impl Stream<Item = Result<Bytes, String>>
where
    S: Stream<Item = Result<Bytes, String>>,
{
    let state = (Box::pin(chunks), Some(Decoder::Unknown(Vec::new())));
    stream::try_unfold(state, |(mut chunks, decoder)| async move {
        let Some(mut decoder) = decoder else { return Ok(None) };
        let damaged = |error: io::Error| format!("a layer of this machine's engine is damaged: {error}");
        match chunks.next().await.transpose()? {
            Some(chunk) => {
                let plain = decoder.feed(chunk).map_err(damaged)?;
                Ok(Some((plain, (chunks, Some(decoder)))))
            }
            None => Ok(Some((decoder.end().map_err(damaged)?, (chunks, None)))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::pack::Form;
    use super::*;

    async fn through(bytes: &[u8], step: usize) -> Result<Vec<u8>, String> {
        let chunks: Vec<_> = bytes.chunks(step).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let parts: Vec<_> = unpacked(stream::iter(chunks)).collect().await;
        parts.into_iter().collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
    }

    #[tokio::test]
    async fn every_form_is_told_by_its_first_bytes() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        let gzip = Form::Gzip.block(&plain, 1).unwrap();
        let zstd = Form::Zstd.block(&plain, 1).unwrap();
        for step in [1, 3, 70_000] {
            for packed in [&plain, &gzip, &zstd] {
                assert!(through(packed, step).await.unwrap() == plain, "{step}");
            }
        }
        assert_eq!(through(b"", 1).await.unwrap(), b"");
        assert_eq!(through(b"ab", 1).await.unwrap(), b"ab");
    }

    #[tokio::test]
    async fn half_a_layer_is_no_layer() {
        let gzip = Form::Gzip.block(&[7; 100_000], 1).unwrap();
        let error = through(&gzip[..gzip.len() / 2], 64).await.unwrap_err();
        assert!(error.contains("damaged"), "{error}");
    }
}
