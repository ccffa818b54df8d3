//! The simulated network: delay, loss, doubles, overtaking, cuts, slow links.

use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;

use glossary::NodeId;

use crate::{Kind, Moment, Random, Tally};

/// How the network behaves between any two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Messages lost, in 10,000.
    pub drop: u64,
    /// Messages doubled, in 10,000.
    pub duplicate: u64,
    /// Messages that take a detour and are overtaken, in 10,000.
    pub detour: u64,
    /// The usual time on the way, from and to, in microseconds.
    pub microseconds: (u64, u64),
}

impl Weather {
    /// A good network in one rack.
    pub const CALM: Weather = Weather { drop: 0, duplicate: 0, detour: 0, microseconds: (20, 80) };

    /// A network that may do everything that a network may do.
    pub const STORM: Weather = Weather { drop: 300, duplicate: 300, detour: 1000, microseconds: (20, 400) };
}

/// What is wrong with one direction between two nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    cut_until: Moment,
    slow_until: Moment,
    slow_by: Duration,
    /// When the last message sent so far arrives.
    last_arrival: Moment,
}

/// All links.
///
/// Nodes `outside` (guests) stand beside the node that they talk to, in its process: nothing is
/// lost, doubled or overtaken between them.
#[derive(Clone, Debug)]
pub struct Network {
    links: BTreeMap<(NodeId, NodeId), Link>,
    weather: Weather,
    storm: Option<(Moment, Weather)>,
    outside: Range<NodeId>,
    random: Random,
    tally: Tally,
}

/// When a message arrives: not at all, once or twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// The message.
    pub first: Option<Moment>,
    /// Its double.
    pub second: Option<Moment>,
}

impl Network {
    /// A network with its usual weather.
    pub fn new(weather: Weather, outside: Range<NodeId>, random: Random) -> Self {
        Network { links: BTreeMap::new(), weather, storm: None, outside, random, tally: Tally::default() }
    }

    /// What happened here.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bad weather for a while.
    pub fn storm(&mut self, until: Moment, weather: Weather) {
        self.storm = Some((until, weather));
    }

    /// Cuts the way from each of some nodes to each of others.
    pub fn cut(&mut self, from: &[NodeId], to: &[NodeId], until: Moment) {
        self.on_links(from, to, |link| link.cut_until = until);
    }

    /// Slows the way from each of some nodes to each of others.
    pub fn slow(&mut self, from: &[NodeId], to: &[NodeId], until: Moment, by: Duration) {
        self.on_links(from, to, |link| (link.slow_until, link.slow_by) = (until, by));
    }

    fn on_links(&mut self, from: &[NodeId], to: &[NodeId], change: impl Fn(&mut Link)) {
        for &from in from {
            to.iter().for_each(|&to| change(self.links.entry((from, to)).or_default()));
        }
    }

    /// Ends all troubles.
    pub fn heal(&mut self) {
        (self.storm, self.weather) = (None, Weather::CALM);
        for link in self.links.values_mut() {
            (link.cut_until, link.slow_until) = (Moment::BEGIN, Moment::BEGIN);
        }
    }

    /// Sends a message on its way.
    pub fn route(&mut self, now: Moment, from: NodeId, to: NodeId) -> Arrivals {
        let weather = match self.storm {
            Some((until, storm)) if now < until => storm,
            _ => self.weather,
        };
        let link = self.links.entry((from, to)).or_default();
        if self.outside.contains(&from) || self.outside.contains(&to) {
            let arrival = now.after(self.random.microseconds(1, 10)).max(Moment(link.last_arrival.0 + 1));
            link.last_arrival = arrival;
            return Arrivals { first: Some(arrival), second: None };
        }
        if now < link.cut_until {
            return Arrivals::default();
        }
        if self.random.chance(weather.drop) {
            self.tally.add(Kind::Drop);
            return Arrivals::default();
        }
        let mut arrivals =
            Arrivals { first: Some(arrival(now, weather, link, &mut self.random)), second: None };
        if now < link.slow_until {
            self.tally.add(Kind::SlowLink);
        }
        if arrivals.first < Some(link.last_arrival) {
            self.tally.add(Kind::Reorder);
        }
        link.last_arrival = link.last_arrival.max(arrivals.first.unwrap_or_default());
        if self.random.chance(weather.duplicate) {
            self.tally.add(Kind::Duplicate);
            arrivals.second = Some(arrival(now, weather, link, &mut self.random));
        }
        arrivals
    }
}

fn arrival(now: Moment, weather: Weather, link: &Link, random: &mut Random) -> Moment {
    let (low, high) = weather.microseconds;
    let mut takes = random.microseconds(low, high);
    if random.chance(weather.detour) {
        takes += random.microseconds(100, 5_000);
    }
    if now < link.slow_until {
        takes += link.slow_by;
    }
    now.after(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [NodeId; 2] = [NodeId(0), NodeId(1)];
    const GUEST: NodeId = NodeId(9);

    fn network(weather: Weather) -> Network {
        Network::new(weather, GUEST..NodeId(10), Random::stream(1, "network"))
    }

    #[test]
    fn a_storm_does_everything() {
        let mut network = network(Weather::STORM);
        for now in 0..1000 {
            network.route(Moment(now * 1000), NODES[0], NODES[1]);
        }
        for kind in [Kind::Drop, Kind::Duplicate, Kind::Reorder] {
            assert!(network.tally().count(kind) > 10, "{kind:?}");
        }
    }

    #[test]
    fn guests_are_never_overtaken() {
        let mut network = network(Weather::STORM);
        let arrivals: Vec<_> = (0..1000).map(|now| network.route(Moment(now), NODES[0], GUEST)).collect();
        assert!(arrivals.windows(2).all(|pair| pair[0].first < pair[1].first));
        assert!(arrivals.iter().all(|arrival| arrival.first.is_some() && arrival.second.is_none()));
    }

    #[test]
    fn a_cut_goes_one_way_and_ends() {
        let mut network = network(Weather::CALM);
        network.cut(&NODES[..1], &NODES[1..], Moment(100));
        assert_eq!(network.route(Moment(99), NODES[0], NODES[1]), Arrivals::default());
        assert!(network.route(Moment(99), NODES[1], NODES[0]).first.is_some());
        assert!(network.route(Moment(100), NODES[0], NODES[1]).first.is_some());
        network.cut(&NODES[..1], &NODES[1..], Moment(1000));
        network.heal();
        assert!(network.route(Moment(500), NODES[0], NODES[1]).first.is_some());
    }
}
