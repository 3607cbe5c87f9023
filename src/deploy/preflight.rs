//! What can be asked of a host before anything is sent to it or changed on it: whether there is room, whether its
//! engine takes what we send. Whether its ports are free is asked in [`super::ports`].

use super::error::Error;
use super::remote::Remote;
use super::transfer::Lacking;
use crate::docker::EngineInfo;

/// What an engine needs beside the layers: its own books, and what an estimate may be wrong by.
const MARGIN: u64 = 32 << 20;

/// Whether the host can take what it lacks of an image.
///
/// # Errors
/// [`Error::Preflight`] when it cannot, with what it has and what it would need. [`Error::Ssh`] when it cannot be asked.
pub async fn takes(remote: &Remote, info: &EngineInfo, lacking: &Lacking) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::Preflight { host: remote.name().clone(), why });
    let version = &remote.engine.version().version;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if info.containerd_store && major.is_some_and(|major| major < 25) {
        return refuse(format!(
            "its engine ({version}) keeps images in containerd's store and loads nothing compressed into it before \
             Docker 25; update it, or turn that store off"
        ));
    }
    // A load unpacks into a temporary place first, and from there into the store.
    let needed = lacking.bytes.saturating_add(lacking.largest).saturating_add(MARGIN);
    match free(remote, info).await? {
        Some(free) if free < needed => refuse(format!(
            "{} has {} free, {} are needed ({} of layers, {} to unpack them)",
            info.root.display(),
            size(free),
            size(needed),
            size(lacking.bytes),
            size(needed - lacking.bytes)
        )),
        // Not every user may look there: then the engine will say so if there is too little.
        _ => Ok(()),
    }
}

/// Free bytes where the engine keeps its data, if the user may know.
async fn free(remote: &Remote, info: &EngineInfo) -> Result<Option<u64>, Error> {
    let root = info.root.display().to_string();
    let command = "IFS= read -r root && df -Pk -- \"$root\"";
    let said = remote.session.run(command, format!("{root}\n").as_bytes()).await?;
    Ok(if said.status.success() { available(&said.text()) } else { None })
}

/// The fourth column of the last line, in KiB.
fn available(df: &str) -> Option<u64> {
    let (_, line) = df.trim_end().rsplit_once('\n')?;
    line.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

fn size(bytes: u64) -> String {
    let megabytes = bytes.div_ceil(1_000_000);
    if megabytes < 10_000 { format!("{megabytes} MB") } else { format!("{} GB", megabytes.div_ceil(1000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_as_df_writes_it() {
        let df = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                  /dev/mapper/a b-root  263174212 20000000  75000000      22% /var/lib/docker\n";
        assert_eq!(
            available("Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 9 4 5 22% /"),
            Some(5120)
        );
        assert_eq!(available("nonsense"), None);
        // A device with a space in its name is read wrong, but never as more than the disk has.
        assert!(available(df).is_none_or(|free| free < 263_174_212 * 1024));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(
            (size(1), size(52_428_800), size(34_000_000_000)),
            ("1 MB".into(), "53 MB".into(), "34 GB".into())
        );
    }
}
