//! A registry on this machine's loopback, for the length of one push: the way to get single layers out of an engine
//! that otherwise only exports whole images.
//!
//! The engine is told to push the image here. Of the layers that it offers, the wanted ones are taken; the others
//! are acknowledged after their first bytes, unread. Which layer an upload is, the engine does not say in the upload,
//! but in its report to whoever told it to push: so uploads are let begin one by one, and the layer of which the
//! report first speaks meanwhile is the one. What is taken is known by its content all the same.
//!
//! Only the engine may talk to it: with a password that is given to the engine through its socket. And only this
//! machine's engine is given it: first it is asked for an image that nobody has, with a password of its own, and only
//! if that question arrives here is `127.0.0.1` the same place for both.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyDataStream, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::memory::{Memory, unguessable};
use super::pack::{self, Form, Pace, digest_of, pack};
use super::shelf::Shelf;
use super::spool::Spool;
use super::unpack::unpacked;
use crate::docker::{Engine, Image, Pushing};

/// Always the same few: the engine keeps a note for each registry that it has pushed a layer to, and only so many.
const PORTS: [u16; 4] = [24_817, 24_818, 24_819, 24_820];
const REPOSITORY: &str = "arcane";
const TAG: &str = "push";
const USER: &str = "arcane";
/// How long other pushes may keep all of them before an export is the quicker way, and how often that is tried.
const PATIENCE: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(100);
/// How long the engine may take to ask for the image that nobody has.
const ASK: Duration = Duration::from_secs(5);
/// How long the engine's report may take to name the layer of an upload.
const NAME: Duration = Duration::from_secs(3);
/// The longest configuration of an image.
const CONFIG_LIMIT: usize = 8 << 20;

/// Has this machine's engine push the image here, and puts the wanted layers on the shelf.
///
/// # Errors
/// When the engine does not reach this process on its loopback, or the push fails.
pub(super) async fn run(
    local: &Engine,
    image: &Image,
    shelf: &Arc<Shelf>,
    form: Form,
    pace: &Arc<Pace>,
) -> Result<(), String> {
    let listener = listen().await.map_err(|error| format!("cannot listen on the loopback: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let memory = spawn_blocking(Memory::load).await.map_err(|error| error.to_string())?;
    let desk = Arc::new(Desk::new(&memory, image, Arc::clone(shelf), form, Arc::clone(pace)));
    let mut connections = JoinSet::new();
    let serve = async {
        while let Ok((stream, _)) = listener.accept().await {
            let desk = Arc::clone(&desk);
            let answer = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            });
            // An engine begins with TLS, which is no request, and ends uploads that it was told are complete.
            connections.spawn(async move {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await
            });
        }
    };
    let pushed = tokio::select! {
        () = serve => Err("the loopback took no more connections".to_owned()),
        pushed = push(local, image, port, &desk) => pushed,
    };
    if let Some(memory) = desk.learned(memory) {
        // Whoever waits for the layers need not wait for this.
        drop(spawn_blocking(move || memory.save()));
    }
    pushed
}

/// One of our ports; waits for its turn when other pushes have them all.
async fn listen() -> std::io::Result<TcpListener> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let mut failed = None;
        for port in PORTS {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if Instant::now() > patience => return Err(error),
            _ => sleep(AGAIN).await,
        }
    }
}

async fn push(local: &Engine, image: &Image, port: u16, desk: &Desk) -> Result<(), String> {
    let text = |error: crate::docker::Error| error.to_string();
    let repository = format!("127.0.0.1:{port}/{REPOSITORY}");
    local.ask_registry(&repository, "nothing", (USER, &desk.question), ASK).await.map_err(text)?;
    if !desk.reached.load(Ordering::Relaxed) {
        return Err("this machine's engine does not reach this process on its loopback".to_owned());
    }
    local.tag_image(&image.id, &repository, TAG).await.map_err(text)?;
    let reference = format!("{repository}:{TAG}");
    let mut untag = std::pin::pin!(local.remove_image(&reference));
    let pushing = local.push_image(&repository, TAG, (USER, &desk.password)).await;
    let mut report = match pushing {
        Ok(report) => report,
        Err(error) => {
            let _ = untag.await;
            return Err(error.to_string());
        }
    };
    let (mut begun, mut untagged) = (false, false);
    let mut config = desk.config.subscribe();
    let pushed = loop {
        tokio::select! {
            said = report.next() => match said {
                Some(Ok(said)) => {
                    begun |= !said.layer.is_empty();
                    desk.hear(&said);
                }
                Some(Err(error)) => break Err(error.to_string()),
                None => break Ok(()),
            },
            // From here on the engine goes by what it holds, and the name has done its work.
            _ = &mut untag, if begun && !untagged => untagged = true,
            // The configuration comes last. A push that went on would leave a note of our name on the image.
            _ = config.wait_for(|there| *there) => break Ok(()),
        }
    };
    drop(report);
    if !untagged {
        let _ = untag.await;
    }
    pushed?;
    match desk.shelf.lacks() {
        None => Ok(()),
        Some(what) => Err(format!("this machine's engine pushed the image without {what}")),
    }
}

/// Where the engine's requests are answered.
struct Desk {
    password: String,
    /// The password of the question whether the engine reaches this process.
    question: String,
    reached: AtomicBool,
    /// The image's id.
    image: String,
    /// The layers of the image, wanted or not.
    layers: Vec<String>,
    shelf: Arc<Shelf>,
    form: Form,
    pace: Arc<Pace>,
    /// Uploads are named one by one.
    turn: Arc<Semaphore>,
    next: AtomicU64,
    heard: watch::Sender<Heard>,
    uploads: Mutex<HashMap<u64, Upload>>,
    /// Blobs that the engine knows, and their layers.
    blobs: Mutex<HashMap<String, String>>,
    /// Wanted layers that came.
    taken: Mutex<HashSet<String>>,
    config: watch::Sender<bool>,
}

/// What the engine's report has spoken of.
#[derive(Debug, Default)]
struct Heard {
    known: HashSet<String>,
    /// The last that no upload was recognised by yet.
    fresh: Option<String>,
}

#[derive(Default)]
struct Upload {
    turn: Option<OwnedSemaphorePermit>,
    layer: Option<String>,
    /// A body that is not read. Were it dropped, the connection would be reset before the engine sees the answer.
    unread: Option<Rest>,
}

/// The rest of a request's body.
type Rest = BodyDataStream<Incoming>;

type Answer = Response<Full<Bytes>>;

impl Desk {
    fn new(memory: &Memory, image: &Image, shelf: Arc<Shelf>, form: Form, pace: Arc<Pace>) -> Self {
        Self {
            password: memory.password.clone(),
            question: unguessable(),
            reached: AtomicBool::new(false),
            image: image.id.clone(),
            layers: image.layers.clone(),
            shelf,
            form,
            pace,
            turn: Arc::new(Semaphore::new(1)),
            next: AtomicU64::new(1),
            heard: watch::Sender::default(),
            uploads: Mutex::default(),
            blobs: Mutex::new(memory.layers.clone().into_iter().collect()),
            taken: Mutex::default(),
            config: watch::Sender::new(false),
        }
    }

    /// The memory with what is new, if anything is.
    fn learned(&self, mut memory: Memory) -> Option<Memory> {
        let before = memory.layers.len();
        memory.layers.extend(lock(&self.blobs).clone());
        (memory.layers.len() > before).then_some(memory)
    }

    /// Notes a layer of which the engine says for the first time that it pushes it.
    fn hear(&self, said: &Pushing) {
        if said.status == "Pushing" {
            self.heard.send_if_modified(|heard| {
                let new = heard.known.insert(said.layer.clone());
                if new {
                    heard.fresh = Some(said.layer.clone());
                }
                new
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let given = request.headers().get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        if given == Some(&basic(&self.question)) {
            // Whatever is answered, the question has arrived.
            self.reached.store(true, Ordering::Relaxed);
            return empty(StatusCode::NOT_FOUND);
        }
        if given != Some(&basic(&self.password)) {
            return with(StatusCode::UNAUTHORIZED, &[("WWW-Authenticate", "Basic realm=\"arcane\"")]);
        }
        let path = request.uri().path().to_owned();
        let upload = path.rsplit_once("/blobs/uploads/").map(|(_, id)| id.to_owned());
        match (request.method(), upload) {
            (&Method::GET, None) if path == "/v2/" => empty(StatusCode::OK),
            (&Method::HEAD, None) => match path.rsplit_once("/blobs/") {
                Some((_, digest)) => self.has(digest),
                None => empty(StatusCode::NOT_FOUND),
            },
            (&Method::POST, Some(_)) => self.begin().await,
            (&Method::PATCH, Some(id)) => match id.parse() {
                Ok(id) => self.take(id, request.into_body()).await,
                Err(_) => empty(StatusCode::NOT_FOUND),
            },
            (&Method::PUT, Some(id)) => {
                let digest = request.uri().query().and_then(digest_in).unwrap_or_default();
                self.commit(id.parse().unwrap_or_default(), &digest)
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    /// Whether a blob need not be uploaded.
    fn has(&self, digest: &str) -> Answer {
        let layer = lock(&self.blobs).get(digest).cloned();
        let spared = layer.is_some_and(|layer| {
            self.layers.contains(&layer) && (!self.shelf.wants(&layer) || lock(&self.taken).contains(&layer))
        });
        if spared {
            with(StatusCode::OK, &[("Content-Length", "1"), ("Docker-Content-Digest", digest)])
        } else {
            empty(StatusCode::NOT_FOUND)
        }
    }

    async fn begin(&self) -> Answer {
        let turn = timeout(NAME * 10, Arc::clone(&self.turn).acquire_owned()).await.ok().and_then(Result::ok);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.uploads).insert(id, Upload { turn, ..Upload::default() });
        accepted(id, 1)
    }

    async fn take(&self, id: u64, body: Incoming) -> Answer {
        let mut chunks = BodyDataStream::new(body);
        let mut first = Bytes::new();
        while first.is_empty() {
            match chunks.next().await {
                Some(Ok(chunk)) => first = chunk,
                _ => return empty(StatusCode::BAD_REQUEST),
            }
        }
        if first.first() == Some(&b'{') {
            return self.take_config(id, first, chunks).await;
        }
        let layer = self.name(id).await;
        if layer.as_ref().is_some_and(|layer| !self.shelf.wants(layer)) {
            if let Some(upload) = lock(&self.uploads).get_mut(&id) {
                upload.unread = Some(chunks);
            }
            return accepted(id, first.len());
        }
        let rest = chunks.map(|chunk| chunk.map_err(|error| format!("the push broke off: {error}")));
        match self.take_layer(id, stream::iter([Ok(first)]).chain(rest)).await {
            Ok(size) => accepted(id, size),
            Err(why) => {
                tracing::debug!(%why, "a layer was not taken from this machine's engine");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Which layer an upload is, if the engine's report tells.
    async fn name(&self, id: u64) -> Option<String> {
        let turn = lock(&self.uploads).get_mut(&id).and_then(|upload| upload.turn.take());
        turn.as_ref()?;
        let mut heard = self.heard.subscribe();
        timeout(NAME, heard.wait_for(|heard| heard.fresh.is_some())).await.ok()?.ok()?;
        drop(heard);
        let mut short = None;
        self.heard.send_if_modified(|heard| {
            short = heard.fresh.take();
            false
        });
        drop(turn);
        let start = format!("sha256:{}", short?);
        let mut like = self.layers.iter().filter(|layer| layer.starts_with(&start));
        let layer = like.next()?.clone();
        // Twelve digits that two layers share name neither; the same layer twice is one.
        if like.any(|other| *other != layer) {
            return None;
        }
        if let Some(upload) = lock(&self.uploads).get_mut(&id) {
            upload.layer = Some(layer.clone());
        }
        Some(layer)
    }

    async fn take_layer<S>(&self, id: u64, chunks: S) -> Result<usize, String>
    where
        S: Stream<Item = Result<Bytes, String>>,
    {
        let spool = Spool::new(None).map_err(|error| pack::cannot_spool(&error))?;
        let (digest, size) = pack(unpacked(chunks), &spool, self.form, &self.pace).await?;
        spool.end(size);
        self.shelf.put(&digest, &spool);
        lock(&self.taken).insert(digest.clone());
        if let Some(upload) = lock(&self.uploads).get_mut(&id) {
            upload.layer = Some(digest);
        }
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    async fn take_config(&self, id: u64, first: Bytes, mut rest: Rest) -> Answer {
        let mut config = first.to_vec();
        while let Some(chunk) = rest.next().await {
            match chunk {
                Ok(chunk) if config.len() + chunk.len() <= CONFIG_LIMIT => config.extend_from_slice(&chunk),
                _ => return empty(StatusCode::BAD_REQUEST),
            }
        }
        // Only an engine with the classic store is asked to push, and there an image's id is its configuration's digest.
        if digest_of(&config) == self.image {
            self.shelf.offer_config(&config.into());
        }
        if self.shelf.has_config() {
            self.config.send_replace(true);
        }
        accepted(id, 1)
    }

    fn commit(&self, id: u64, digest: &str) -> Answer {
        let Some(upload) = lock(&self.uploads).remove(&id) else { return empty(StatusCode::NOT_FOUND) };
        if let Some(layer) = upload.layer {
            lock(&self.blobs).insert(digest.to_owned(), layer);
        }
        with(StatusCode::CREATED, &[("Docker-Content-Digest", digest), ("Location", "/v2/")])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn basic(password: &str) -> Vec<u8> {
    let credentials = data_encoding::BASE64.encode(format!("{USER}:{password}").as_bytes());
    format!("Basic {credentials}").into_bytes()
}

/// The digest in `digest=sha256%3Aab…`.
fn digest_in(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("digest="))?;
    Some(value.replace("%3A", ":").replace("%3a", ":"))
}

fn accepted(id: u64, bytes: usize) -> Answer {
    let place = format!("/v2/{REPOSITORY}/blobs/uploads/{id}");
    let range = format!("0-{}", bytes.saturating_sub(1));
    let headers = [("Location", &*place), ("Docker-Upload-UUID", &id.to_string()), ("Range", &range)];
    with(StatusCode::ACCEPTED, &headers)
}

fn empty(status: StatusCode) -> Answer {
    with(status, &[])
}

fn with(status: StatusCode, headers: &[(&str, &str)]) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    for (name, value) in headers {
        // A header that cannot be written is one that the engine made up.
        if let (Ok(name), Ok(value)) =
            (header::HeaderName::try_from(*name), header::HeaderValue::try_from(*value))
        {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    fn image() -> Image {
        Image {
            id: "sha256:1".to_owned(),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            size: 0,
            tags: Vec::new(),
            layers: ["sha256:there", "sha256:wanted"].map(str::to_owned).to_vec(),
            has_healthcheck: false,
            healthcheck: Vec::new(),
            shell: Vec::new(),
            labels: BTreeMap::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            created: None,
        }
    }

    fn desk() -> Arc<Desk> {
        let blobs = [("sha256:blob-there", "sha256:there"), ("sha256:blob-wanted", "sha256:wanted")];
        let layers = blobs.map(|(blob, layer)| (blob.to_owned(), layer.to_owned())).into();
        let memory = Memory { password: "secret".to_owned(), layers };
        let shelf = Arc::new(Shelf::new(&image(), &["sha256:wanted".to_owned()]));
        Arc::new(Desk::new(&memory, &image(), shelf, Form::Zstd, Arc::default()))
    }

    /// The status that a request gets.
    async fn status(desk: &Arc<Desk>, request: &str, password: Option<&str>) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::clone(desk);
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(move |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let auth = password.map_or_else(String::new, |password| {
            format!("Authorization: {}\r\n", String::from_utf8(basic(password)).unwrap())
        });
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        server.abort();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    #[tokio::test]
    async fn only_who_has_the_password_learns_or_leaves_anything() {
        let desk = desk();
        for request in
            ["GET /v2/", "HEAD /v2/arcane/blobs/sha256:blob-there", "POST /v2/arcane/blobs/uploads/"]
        {
            for password in [None, Some(""), Some("guess")] {
                assert_eq!(status(&desk, request, password).await, "401", "{request} {password:?}");
            }
        }
        assert_eq!(status(&desk, "GET /v2/", Some("secret")).await, "200");
        assert!(lock(&desk.uploads).is_empty() && !desk.reached.load(Ordering::Relaxed));
        // The password of the question opens nothing.
        let question = desk.question.clone();
        assert_eq!(status(&desk, "POST /v2/arcane/blobs/uploads/", Some(&question)).await, "404");
        assert!(lock(&desk.uploads).is_empty() && desk.reached.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_the_host_has_need_not_be_uploaded_and_what_it_lacks_must() {
        let desk = desk();
        for (blob, expected) in [("blob-there", "200"), ("blob-wanted", "404"), ("unheard-of", "404")] {
            let request = format!("HEAD /v2/arcane/blobs/sha256:{blob}");
            assert_eq!(status(&desk, &request, Some("secret")).await, expected, "{blob}");
        }
    }

    #[test]
    fn a_digest_is_found_in_what_engines_ask() {
        assert_eq!(digest_in("_state=x&digest=sha256%3Aab").as_deref(), Some("sha256:ab"));
        assert_eq!(digest_in("digest=sha256:ab").as_deref(), Some("sha256:ab"));
        assert_eq!(digest_in("x=1"), None);
    }
}
