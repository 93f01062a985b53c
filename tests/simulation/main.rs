//! Several engines on a lossy network in virtual time. A failing seed is printed; replay it with
//! `MDNSREG_SEED=<seed> cargo test --test simulation`.

mod network;
mod seeds;
mod world;

use std::time::Duration;

use world::{Plan, World};

const SEEDS: u64 = 500;

fn over_seeds(plan: &Plan) {
    seeds::over_seeds(SEEDS, |seed| World::new(seed, plan).run());
}

#[test]
fn a_calm_network_shows_everything_to_everyone() {
    over_seeds(&Plan { loss: 0.0, duplicates: 0.0, delay: Duration::from_millis(5), ..Plan::default() });
}

#[test]
fn loss_delay_and_duplicates_change_nothing_in_the_end() {
    over_seeds(&Plan::default());
}

#[test]
fn half_of_all_packets_lost_changes_nothing_in_the_end() {
    over_seeds(&Plan { loss: 0.5, ..Plan::default() });
}

#[test]
fn killed_hosts_and_partitions_leave_no_ghosts() {
    over_seeds(&Plan { kills: true, partitions: true, ..Plan::default() });
}

#[test]
fn a_reader_that_falls_behind_ends_with_the_truth() {
    over_seeds(&Plan { slow_readers: true, queue: 4, ..Plan::default() });
}

#[test]
fn hosts_that_were_stopped_for_longer_than_a_lease_see_the_living_again() {
    over_seeds(&Plan { stops: true, kills: true, ..Plan::default() });
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let plan = Plan { kills: true, partitions: true, slow_readers: true, ..Plan::default() };
    let history = |seed| {
        let mut world = World::new(seed, &plan);
        world.run().unwrap();
        world.history()
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
