//! Does what a course says: begins errands, waits for them, tells the course how they ended.

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::course::{Course, Ended, Errand, Next};
use crate::fleet::Host;

/// Follows a course to its end. `act` does an errand on a host and says how it ended; it hears of the interruption by
/// itself, and here it only keeps the next host from being begun.
pub async fn carry_out<F, A>(course: &mut Course, cancel: &CancellationToken, act: F)
where
    F: Fn(Errand, Host) -> A,
    A: Future<Output = Ended>,
{
    let mut under_way = FuturesUnordered::new();
    loop {
        if cancel.is_cancelled() {
            course.interrupt();
        }
        match course.advance() {
            Next::Begin(errand) => {
                let (Errand::Change(place) | Errand::GiveBack(place)) = errand;
                let Some(host) = course.host(place).cloned() else { return };
                let work = act(errand, host);
                under_way.push(async move { (errand, work.await) });
            }
            Next::Wait => {
                let Some((errand, ended)) = under_way.next().await else { return };
                course.ended(errand, ended);
            }
            Next::Over => return,
        }
    }
}

/// Looks at every host, at most `at_once` at the same time. What was seen comes in the order of the hosts, however long
/// each took.
pub async fn on_each<T, A>(hosts: &[Host], at_once: usize, look: impl Fn(Host) -> A) -> Vec<T>
where
    A: Future<Output = T>,
{
    let looks = hosts.iter().cloned().enumerate().map(|(place, host)| {
        let look = look(host);
        async move { (place, look.await) }
    });
    let mut seen: Vec<_> = stream::iter(looks).buffer_unordered(at_once.max(1)).collect().await;
    seen.sort_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, seen)| seen).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::course::{OnFailure, Standing};
    use super::super::stages::stages;
    use super::*;
    use crate::fleet::{Batch, Gate, HostName};

    fn hosts(count: usize) -> Vec<Host> {
        let host =
            |number| Host { name: HostName::parse(&format!("h{number}")).unwrap(), ssh: "h".to_owned() };
        (0..count).map(host).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_bounded_and_told_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let hosts = hosts(50);
        let seen = on_each(&hosts, 8, |host| {
            let (now, most) = (&now, &most);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first ones take longest.
                let number: u64 = host.name.as_str()[1..].parse().unwrap();
                tokio::time::sleep(Duration::from_millis(100 - number)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                host
            }
        })
        .await;
        assert_eq!(seen, hosts);
        assert_eq!(most.into_inner(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_lets_those_under_way_finish() {
        let gate = Gate { name: "p".to_owned(), hosts: hosts(6) };
        let mut course = Course::new(stages(&[gate], Batch::Hosts(2)), 8, OnFailure::Stop);
        let cancel = CancellationToken::new();
        let asked = Mutex::new(Vec::new());
        carry_out(&mut course, &cancel, |errand, host| {
            asked.lock().unwrap().push((errand, host.name.to_string()));
            let cancel = &cancel;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if host.name.as_str() == "h1" {
                    cancel.cancel();
                    return Ended::Failed;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ended::Done
            }
        })
        .await;
        let asked: Vec<_> = asked.into_inner().unwrap().into_iter().map(|(_, name)| name).collect();
        assert_eq!(asked, ["h0", "h1", "h2"]);
        let standings: Vec<_> = course.hosts().map(|(_, _, standing)| standing).collect();
        use Standing::{Changed, Failed, Waiting};
        assert_eq!(standings, [Changed, Failed, Changed, Waiting, Waiting, Waiting]);
    }
}
