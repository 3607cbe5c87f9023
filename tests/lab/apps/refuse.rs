//! An engine that refuses one call: stands before the real one's socket, passes everything on, and answers the first
//! request that fits with an error of its own.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ANSWER: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
                      Content-Length: 32\r\nConnection: close\r\n\r\n{\"message\":\"refused by the lab\"}";

/// `refuse SOCKET 'POST /containers/create'`: the method, and a part of the path. The real socket is moved to
/// `SOCKET.real`; whoever ends this process moves it back.
pub fn refuse(socket: &str, request: &str) {
    let real = format!("{socket}.real");
    fs::rename(socket, &real).expect("the engine's socket is there");
    let listener = UnixListener::bind(socket).expect("its place is free");
    let like = fs::metadata(&real).expect("it was just moved");
    fs::set_permissions(socket, fs::Permissions::from_mode(like.mode())).expect("the socket is ours");
    chown(socket, Some(like.uid()), Some(like.gid())).expect("we are root");
    let request: Arc<str> = request.into();
    let refused = Arc::new(AtomicBool::new(false));
    for client in listener.incoming().flatten() {
        let Ok(engine) = UnixStream::connect(&real) else { continue };
        let (request, refused) = (Arc::clone(&request), Arc::clone(&refused));
        thread::spawn(move || pass(&client, &engine, &request, &refused));
    }
}

fn pass(client: &UnixStream, engine: &UnixStream, request: &str, refused: &AtomicBool) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*engine, &mut &*client);
            let _ = client.shutdown(Shutdown::Write);
        });
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = (&*client).read(&mut buffer) {
            // A request begins where the client began to write it: it waits for the answer before the next one.
            if fits(&buffer[..length], request) && !refused.swap(true, Ordering::SeqCst) {
                let _ = (&*client).write_all(ANSWER.as_bytes());
                let _ = client.shutdown(Shutdown::Both);
                break;
            }
            if (&*engine).write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = engine.shutdown(Shutdown::Write);
    });
}

fn fits(bytes: &[u8], request: &str) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let (Ok(line), Some((method, path))) = (std::str::from_utf8(line), request.split_once(' ')) else {
        return false;
    };
    line.strip_prefix(method).is_some_and(|rest| rest.starts_with(' ') && rest.contains(path))
}
