//! What a deployment does, request by request.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};

use super::{
    decide::{DeploymentTurn, decide},
    describe,
    request::{DeploymentReply, DeploymentRequest, DrainageTimes, SetCurrent, SetRamping, token_bytes},
    state::{DeploymentKey, DeploymentState, PolledQueue, Ramp},
    *,
};
use crate::{limits::Limits, stamp::Stamp, time::Time};

/// Tells a story to one deployment: a line a request, a line an answer. Every request takes a second.
fn check(story: &str, expected: Expect) {
    let mut teller = Teller::default();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        teller.tell(line);
    }
    expected.assert_eq(&teller.told);
}

#[derive(Default)]
struct Teller {
    state: Option<DeploymentState>,
    now: Time,
    told: String,
    limits: Limits,
}

impl Teller {
    fn tell(&mut self, line: &str) {
        self.now = self.now + std::time::Duration::from_secs(1);
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["limits", deployments, versions, queues] = words[..] {
            self.limits.deployments_max = deployments.parse().unwrap();
            self.limits.versions_in_deployment_max = versions.parse().unwrap();
            self.limits.queues_in_version_max = queues.parse().unwrap();
            return;
        }
        let _ = writeln!(self.told, "> {line}");
        if line == "show" {
            self.show();
            return;
        }
        let request = self.request(&words);
        let before = self.state.clone();
        let fresh = DeploymentState::fresh(DeploymentKey::new("n", "shop"));
        let stamp = Stamp::new(self.now, 1, &self.limits);
        let mut turn = DeploymentTurn::new(&stamp, before.clone().unwrap_or(fresh));
        let answer = decide(&mut turn, before.is_some(), &request);
        let facts = turn.facts.len();
        match answer {
            Ok(reply) => {
                if facts > 0 {
                    self.state = Some(turn.state).filter(|state| !state.deleted);
                }
                let _ = writeln!(self.told, "  {} ({facts} facts)", reply_text(&reply));
            }
            Err(reject) => {
                assert_eq!(facts, 0, "who refuses has done nothing");
                let _ = writeln!(self.told, "  {reject:?}");
            }
        }
    }

    fn request(&self, words: &[&str]) -> DeploymentRequest {
        let value = |name: &str| {
            words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let is = |name: &str| words.contains(&name);
        let identity = value("by").unwrap_or_else(|| "me".to_owned());
        let queue = |name: &str| PolledQueue { name: name.to_owned(), kind: 1 };
        let token = match value("token").as_deref() {
            Some("now") => token_bytes(self.state.as_ref().map_or(0, |state| state.head.conflict_token)),
            Some(token) => token.as_bytes().to_vec(),
            None => Vec::new(),
        };
        let others = value("others").map_or(0, |others| others.parse().unwrap());
        let build = |at: usize| Some(words[at].to_owned()).filter(|build| build != "none");
        match words[0] {
            "create" => DeploymentRequest::Create { request_id: words[1].to_owned(), identity, others },
            "version" => DeploymentRequest::CreateVersion {
                build_id: words[1].to_owned(),
                request_id: "r".to_owned(),
                identity,
            },
            "polled" => DeploymentRequest::Polled {
                build_id: words[1].to_owned(),
                queue: queue(words.get(2).copied().unwrap_or("q")),
                others,
            },
            "current" => DeploymentRequest::SetCurrent(SetCurrent {
                build_id: build(1),
                identity,
                conflict_token: token,
                allow_no_pollers: is("anyway"),
                busy: value("busy").iter().map(|name| queue(name)).collect(),
                others,
            }),
            "ramp" => DeploymentRequest::SetRamping(SetRamping {
                ramp: words
                    .get(2)
                    .and_then(|percentage| percentage.parse().ok())
                    .map(|percentage| Ramp { build_id: build(1), percentage }),
                identity,
                conflict_token: token,
                allow_no_pollers: is("anyway"),
                busy: value("busy").iter().map(|name| queue(name)).collect(),
                others,
            }),
            "manager" => DeploymentRequest::SetManager {
                manager: build(1).unwrap_or_default(),
                identity,
                conflict_token: token,
            },
            "counted" => DeploymentRequest::Counted { build_id: words[1].to_owned(), are_open: is("open") },
            "forget" => DeploymentRequest::DeleteVersion {
                build_id: words[1].to_owned(),
                skip_drainage: is("skip"),
                identity,
                is_polled: is("polled"),
            },
            "delete" => DeploymentRequest::Delete,
            other => panic!("{other} is no request"),
        }
    }

    fn show(&mut self) {
        let Some(state) = &self.state else {
            self.told.push_str("  nothing\n");
            return;
        };
        let info = describe::deployment(state);
        let routing = info.routing_config.unwrap();
        let build = |version: &Option<everlog_proto::api::deployment::v1::WorkerDeploymentVersion>| {
            version.as_ref().map_or("none".to_owned(), |version| version.build_id.clone())
        };
        let _ = writeln!(
            self.told,
            "  current {} ramping {} {}% revision {}",
            build(&routing.current_deployment_version),
            build(&routing.ramping_deployment_version),
            routing.ramping_version_percentage,
            routing.revision_number,
        );
        for version in info.version_summaries {
            let status =
                version.status().as_str_name().trim_start_matches("WORKER_DEPLOYMENT_VERSION_STATUS_");
            let _ = writeln!(self.told, "  {} {status}", build(&version.deployment_version));
        }
    }
}

fn reply_text(reply: &DeploymentReply) -> String {
    match reply {
        DeploymentReply::Done => "done".into(),
        DeploymentReply::Created { .. } => "created".into(),
        DeploymentReply::Current { previous, .. } => format!("current before: {previous:?}"),
        DeploymentReply::Ramping { previous, .. } => format!("ramp before: {previous:?}"),
        DeploymentReply::Manager { previous, .. } => format!("manager before: {previous:?}"),
        DeploymentReply::Metadata(_) => "metadata".into(),
        DeploymentReply::State(_) => "state".into(),
    }
}

#[test]
fn a_version_comes_with_its_first_poll_and_no_other_poll_writes_anything() {
    check(
        "polled 1
         polled 1
         polled 1 other
         polled 2
         show",
        expect![[r#"
            > polled 1
              done (2 facts)
            > polled 1
              done (0 facts)
            > polled 1 other
              done (1 facts)
            > polled 2
              done (1 facts)
            > show
              current none ramping none 0% revision 0
              2 INACTIVE
              1 INACTIVE
        "#]],
    );
}

#[test]
fn versions_become_current_and_drain() {
    check(
        "polled 1
         polled 2
         current 1
         current 1
         current 2
         show
         counted 1 open
         show
         counted 1
         show
         counted 2
         current 1
         show
         current none
         show",
        expect![[r#"
            > polled 1
              done (2 facts)
            > polled 2
              done (1 facts)
            > current 1
              current before: None (2 facts)
            > current 1
              current before: Some("1") (0 facts)
            > current 2
              current before: Some("1") (3 facts)
            > show
              current 2 ramping none 0% revision 2
              2 CURRENT
              1 DRAINING
            > counted 1 open
              done (1 facts)
            > show
              current 2 ramping none 0% revision 2
              2 CURRENT
              1 DRAINING
            > counted 1
              done (1 facts)
            > show
              current 2 ramping none 0% revision 2
              2 CURRENT
              1 DRAINED
            > counted 2
              done (0 facts)
            > current 1
              current before: Some("2") (3 facts)
            > show
              current 1 ramping none 0% revision 3
              2 DRAINING
              1 CURRENT
            > current none
              current before: Some("1") (2 facts)
            > show
              current none ramping none 0% revision 4
              2 DRAINING
              1 DRAINING
        "#]],
    );
}

#[test]
fn a_ramp_grows_and_ends_when_its_version_becomes_current() {
    check(
        "polled 1
         polled 2
         ramp 1 10
         ramp 1 20
         show
         current 1
         show
         ramp 1 5
         ramp 2 5
         ramp none 7
         show
         ramp off
         ramp off
         show",
        expect![[r#"
            > polled 1
              done (2 facts)
            > polled 2
              done (1 facts)
            > ramp 1 10
              ramp before: None (2 facts)
            > ramp 1 20
              ramp before: Some(Ramp { build_id: Some("1"), percentage: 10.0 }) (2 facts)
            > show
              current none ramping 1 20% revision 2
              2 INACTIVE
              1 RAMPING
            > current 1
              current before: None (2 facts)
            > show
              current 1 ramping none 0% revision 3
              2 INACTIVE
              1 CURRENT
            > ramp 1 5
              FailedPrecondition("requested ramping version shop.1 is already current")
            > ramp 2 5
              ramp before: None (2 facts)
            > ramp none 7
              ramp before: Some(Ramp { build_id: Some("2"), percentage: 5.0 }) (3 facts)
            > show
              current 1 ramping none 7% revision 5
              2 DRAINING
              1 CURRENT
            > ramp off
              ramp before: Some(Ramp { build_id: None, percentage: 7.0 }) (1 facts)
            > ramp off
              ramp before: None (0 facts)
            > show
              current 1 ramping none 0% revision 6
              2 DRAINING
              1 CURRENT
        "#]],
    );
}

#[test]
fn what_is_refused_changes_nothing() {
    check(
        "current 1
         polled 1
         current 9
         current 1 token=no
         current 1 token=now
         current 1 token=no
         polled 2 other
         current 2 busy=q
         current 2 busy=other
         current 9 anyway
         forget 9
         forget 2
         forget 2 skip polled
         forget 2 skip
         manager boss
         current 1
         current 1 by=boss
         delete
         create r",
        expect![[r#"
            > current 1
              NotFound("no Worker Deployment found with name 'shop'; does your Worker Deployment have pollers?")
            > polled 1
              done (2 facts)
            > current 9
              NotFound("build ID '9' not found in Worker Deployment 'shop'")
            > current 1 token=no
              FailedPrecondition("conflict token mismatch")
            > current 1 token=now
              current before: None (2 facts)
            > current 1 token=no
              current before: Some("1") (0 facts)
            > polled 2 other
              done (1 facts)
            > current 2 busy=q
              FailedPrecondition("proposed current version 'shop:2' is missing active task queues from the current version; these would become unversioned if it is set as the current version")
            > current 2 busy=other
              current before: Some("1") (3 facts)
            > current 9 anyway
              current before: Some("2") (4 facts)
            > forget 9
              FailedPrecondition("version 'shop:9' cannot be deleted since it is current or ramping")
            > forget 2
              FailedPrecondition("version 'shop:2' cannot be deleted since it is draining")
            > forget 2 skip polled
              FailedPrecondition("version 'shop:2' cannot be deleted since it has active pollers")
            > forget 2 skip
              done (1 facts)
            > manager boss
              manager before: "" (1 facts)
            > current 1
              FailedPrecondition("ManagerIdentity 'boss' is set and does not match user identity 'me'; to proceed, set your own identity as the ManagerIdentity, remove the ManagerIdentity, or wait for the other client to do so")
            > current 1 by=boss
              current before: Some("9") (3 facts)
            > delete
              FailedPrecondition("deployment has versions, can't be deleted")
            > create r
              AlreadyExists("Worker Deployment with name \"shop\" already exists (auto-created from worker polls)")
        "#]],
    );
}

#[test]
fn limits_are_kept_and_what_has_drained_makes_room() {
    check(
        "limits 2 2 1
         polled 1 others=2
         polled 1 others=1
         polled 1 more
         polled 2
         polled 3
         current 1
         current 2
         counted 1
         polled 3
         show",
        expect![[r#"
            > polled 1 others=2
              DeploymentsFull("reached maximum deployments in namespace (2)")
            > polled 1 others=1
              done (2 facts)
            > polled 1 more
              DeploymentsFull("cannot add task queue more since maximum number of task queues (1) have been registered in deployment")
            > polled 2
              done (1 facts)
            > polled 3
              DeploymentsFull("cannot add version shop.3 since maximum number of versions (2) have been registered in the deployment")
            > current 1
              current before: None (2 facts)
            > current 2
              current before: Some("1") (3 facts)
            > counted 1
              done (1 facts)
            > polled 3
              done (2 facts)
            > show
              current 2 ramping none 0% revision 2
              3 INACTIVE
              2 CURRENT
        "#]],
    );
}

fn state_of(words: &[&str]) -> Arc<DeploymentState> {
    let mut teller = Teller::default();
    words.iter().for_each(|line| teller.tell(line));
    let mut state = teller.state.unwrap();
    state.version = words.len() as u64;
    Arc::new(state)
}

fn queue(name: &str) -> PolledQueue {
    PolledQueue { name: name.to_owned(), kind: 1 }
}

#[test]
fn tasks_go_where_their_run_is_or_where_the_deployment_says() {
    let mut directory = Directory::default();
    directory.put(&state_of(&["polled 1", "polled 2", "polled 2 new", "current 1"]));
    let lane = |directory: &Directory, name: &str, is_activity: bool, placement: &Placement| {
        let lane = directory.lane("n", &queue(name), "w", is_activity, placement);
        lane.map_or("none".to_owned(), |version| version.build_id)
    };
    let free = Placement::default();
    let pinned = |build: &str| Placement {
        version: Some(WorkerVersion::new("shop", build)),
        pinned: true,
        ..Placement::default()
    };
    assert_eq!(lane(&directory, "q", false, &free), "1", "the current version");
    assert_eq!(lane(&directory, "new", false, &free), "none", "the current version does not have this queue");
    assert_eq!(lane(&directory, "q", false, &pinned("2")), "2");
    assert_eq!(lane(&directory, "new", true, &pinned("1")), "none", "an activity elsewhere is free");
    assert_eq!(lane(&directory, "new", false, &pinned("1")), "1", "a workflow never is");
    let seen_later =
        Placement { version: Some(WorkerVersion::new("shop", "2")), revision: 5, ..Placement::default() };
    assert_eq!(lane(&directory, "q", false, &seen_later), "2", "this node is behind what the run has seen");
    directory.put(&state_of(&["polled 1", "polled 2", "polled 2 new", "current 1", "current 2"]));
    assert_eq!(lane(&directory, "q", false, &free), "2");
    assert_eq!(lane(&directory, "q", false, &pinned("1")), "1");
    directory.put(&state_of(&["polled 1", "current 1"]));
    assert_eq!(lane(&directory, "q", false, &free), "2", "an older state is of no interest");
}

#[test]
fn a_ramp_takes_its_share_and_always_the_same_workflows() {
    let share = |percentage: f32| {
        let mut directory = Directory::default();
        let ramp = format!("ramp 2 {percentage}");
        directory.put(&state_of(&["polled 1", "polled 2", "current 1", &ramp]));
        let goes_to_2 = |id: &usize| {
            let target = directory.target("n", &queue("q"), &format!("workflow-{id}"));
            target.version.unwrap().build_id == "2"
        };
        (0..10_000).filter(goes_to_2).collect::<Vec<_>>()
    };
    let (none, some, more, all) = (share(0.0), share(10.0), share(30.0), share(100.0));
    assert_eq!((none.len(), all.len()), (0, 10_000));
    assert!((900..1_100).contains(&some.len()) && (2_800..3_200).contains(&more.len()));
    assert!(some.iter().all(|id| more.contains(id)), "a ramp that grows takes nobody back");
}

#[test]
fn a_version_that_drains_is_looked_at_after_a_while_and_then_again_and_again() {
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    let times = DrainageTimes { grace: minutes(3), refresh: minutes(5) };
    let start = Time(0);
    assert!(!times.is_due(start, start, start + minutes(2)));
    assert!(times.is_due(start, start, start + minutes(3)));
    assert!(!times.is_due(start, start + minutes(3), start + minutes(7)));
    assert!(times.is_due(start, start + minutes(3), start + minutes(8)));
}
