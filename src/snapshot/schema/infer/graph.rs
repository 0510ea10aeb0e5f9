//! The graph of what is known of a type so far: places that lie in one another, and structs and enums that
//! are in many of them.
//!
//! A place is where a type asks for something: a field, the inside of an option, an item of a list. A
//! [`Container`] is a struct or an enum; it is one in all places, known by its names and its form, since
//! types of one name need not be one type. It has a [`Body`] for each variant; a struct has one.

use std::collections::BTreeMap;

use serde_reflection::Format;

use crate::snapshot::schema::infer::abort::{Abort, PLACES, STEPS};
use crate::snapshot::schema::infer::samples::SAMPLES;

/// The place of the type itself.
pub(in crate::snapshot) const ROOT: usize = 0;

/// The distance of what has nothing unseen in it.
pub(in crate::snapshot) const FAR: u32 = u32::MAX;

/// How many variants of an enum are tried within each other, while none has been complete. A few save rounds,
/// many take a deep stack.
const NESTED: usize = 4;

/// What was asked for in a place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::snapshot) enum Request {
    /// What has nothing in it.
    Plain(Format),
    Option,
    List,
    Map,
    Tuple(usize),
    /// The container of this number.
    Named(usize),
}

#[derive(Debug, Default)]
pub(in crate::snapshot) struct Node {
    pub(in crate::snapshot) asked: Option<Request>,
    /// The places in it.
    pub(in crate::snapshot) below: Vec<usize>,
    /// The name of the type that refused what it was shown here.
    pub(in crate::snapshot) refused: Option<String>,
    /// The number of the sample that it is shown next.
    pub(in crate::snapshot) sample: usize,
    /// True if nothing can be made for it.
    pub(in crate::snapshot) is_shut: bool,
    /// How far it is from something unseen.
    pub(in crate::snapshot) distance: u32,
}

/// The form of a struct, of an enum, or of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::snapshot) enum Form {
    Unit,
    NewType,
    Tuple(usize),
    Struct(&'static [&'static str]),
    Enum(&'static [&'static str]),
}

/// The identity of a container: the name that it has for serde, that of the type, and its form.
pub(in crate::snapshot) type Key = (&'static str, &'static str, Form);

#[derive(Debug)]
pub(in crate::snapshot) struct Container {
    pub(in crate::snapshot) key: Key,
    pub(in crate::snapshot) bodies: Vec<Body>,
    pub(in crate::snapshot) distance: u32,
    /// The round in which it was explored last.
    pub(in crate::snapshot) round: u32,
    /// For an enum that has fewer variants than names: what is known of each name. Else empty.
    pub(in crate::snapshot) names: Vec<Name>,
}

/// A name of a variant, which may have others.
#[derive(Clone, Debug, Default)]
pub(in crate::snapshot) struct Name {
    pub(in crate::snapshot) is_tried: bool,
    pub(in crate::snapshot) tag: Option<u64>,
}

#[derive(Debug, Default)]
pub(in crate::snapshot) struct Body {
    pub(in crate::snapshot) form: Option<Form>,
    pub(in crate::snapshot) below: Vec<usize>,
    /// How many were complete before it was.
    pub(in crate::snapshot) rank: Option<u32>,
    /// True if there was no end in it.
    pub(in crate::snapshot) is_blocked: bool,
    /// True if the enum has no variant of this number.
    pub(in crate::snapshot) is_absent: bool,
    /// True if it has one, and refused to read it.
    pub(in crate::snapshot) is_refused: bool,
    /// True while it is being brought to an end for the first time.
    pub(in crate::snapshot) is_ending: bool,
    /// What the enum takes its number for.
    pub(in crate::snapshot) tag: Option<u64>,
    distance: u32,
}

impl Body {
    fn is_open(&self) -> bool {
        !self.is_blocked && !self.is_absent && !self.is_refused
    }
}

/// Which variant an enum is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::snapshot) enum Choice {
    Number(usize),
    /// The variant that has the name of this number.
    Name(usize),
}

#[derive(Debug)]
pub(in crate::snapshot) struct Graph {
    pub(in crate::snapshot) nodes: Vec<Node>,
    pub(in crate::snapshot) containers: Vec<Container>,
    known: BTreeMap<Key, usize>,
    pub(in crate::snapshot) round: u32,
    /// How often something was learnt, good or bad.
    pub(in crate::snapshot) changes: usize,
    ranks: u32,
    pub(in crate::snapshot) steps: usize,
}

impl Graph {
    pub(in crate::snapshot) fn new() -> Graph {
        let nodes = vec![Node::default()];
        Graph { nodes, containers: vec![], known: BTreeMap::new(), round: 0, changes: 0, ranks: 0, steps: 0 }
    }

    fn places(&mut self, count: usize) -> Result<Vec<usize>, Abort> {
        let first = self.nodes.len();
        if count > PLACES.saturating_sub(first) {
            return Err(Abort::Over);
        }
        self.nodes.resize_with(first + count, Node::default);
        Ok((first..first + count).collect())
    }

    /// Writes down what is asked for in a place, which must be what was asked for there before.
    pub(in crate::snapshot) fn ask(&mut self, node: usize, asked: Request) -> Result<(), Abort> {
        self.steps += 1;
        match &self.nodes[node].asked {
            // Bounds the work of all rounds, whatever the type does.
            _ if self.steps > STEPS => return Err(Abort::Over),
            // A place that is asked for different things at different times cannot be described.
            Some(before) => return if *before == asked { Ok(()) } else { Err(Abort::Over) },
            None => {}
        }
        let below = match asked {
            Request::Plain(_) | Request::Named(_) => 0,
            Request::Option | Request::List => 1,
            Request::Map => 2,
            Request::Tuple(len) => len,
        };
        self.nodes[node].below = self.places(below)?;
        self.nodes[node].asked = Some(asked);
        self.changes += 1;
        Ok(())
    }

    /// The number of a container.
    pub(in crate::snapshot) fn container(&mut self, key: Key) -> usize {
        let next = self.containers.len();
        let number = *self.known.entry(key).or_insert(next);
        if number == next {
            let count = if let (_, _, Form::Enum(names)) = key { names.len() } else { 1 };
            let bodies = (0..count).map(|_| Body::default()).collect();
            self.containers.push(Container { key, bodies, distance: 0, round: 0, names: vec![] });
        }
        number
    }

    /// Writes down the form of a body, and returns the places in it.
    pub(in crate::snapshot) fn form(
        &mut self,
        container: usize,
        body: usize,
        form: Form,
    ) -> Result<Vec<usize>, Abort> {
        let count = match form {
            Form::Unit => 0,
            Form::NewType => 1,
            Form::Tuple(len) => len,
            Form::Struct(names) | Form::Enum(names) => names.len(),
        };
        match self.containers[container].bodies[body].form {
            Some(before) if before == form => {}
            Some(_) => return Err(Abort::Over),
            None => {
                let below = self.places(count)?;
                let body = &mut self.containers[container].bodies[body];
                (body.form, body.below) = (Some(form), below);
                self.changes += 1;
            }
        }
        Ok(self.containers[container].bodies[body].below.clone())
    }

    /// Which variant leads to what is nearest, or else to an end; and whether it is the latter.
    pub(in crate::snapshot) fn choose(
        &self,
        container: usize,
        is_ending: bool,
    ) -> Result<(Choice, bool), Abort> {
        let Container { bodies, names, .. } = &self.containers[container];
        let open = || bodies.iter().enumerate().filter(|(_, body)| body.is_open());
        if !is_ending {
            // Nearest first: a variant that was never seen, then a name that was never tried, then what leads
            // to one.
            let unseen = open().find(|(_, body)| body.form.is_none());
            if let Some((number, _)) = unseen {
                return Ok((Choice::Number(number), false));
            }
            if let Some(name) = names.iter().position(|name| !name.is_tried) {
                return Ok((Choice::Name(name), true));
            }
            let nearest =
                open().filter(|(_, body)| body.distance < FAR).min_by_key(|(_, body)| body.distance);
            if let Some((number, _)) = nearest {
                return Ok((Choice::Number(number), false));
            }
        }
        // The variant that was complete first: all that is in it was complete before, so this comes to an
        // end.
        let ended = open().filter_map(|(number, body)| Some((body.rank?, number))).min();
        // While none has been complete, variants are tried within each other; each level takes stack.
        let is_nested = bodies.iter().filter(|body| body.is_ending).count() >= NESTED;
        let tried = || open().find(|(_, body)| !body.is_ending && !is_nested).map(|(number, _)| number);
        let number = ended.map(|(_, number)| number).or_else(tried).ok_or(Abort::Stuck)?;
        Ok((Choice::Number(number), true))
    }

    /// A body is complete. What was without end may have one now.
    pub(in crate::snapshot) fn complete(&mut self, container: usize, body: usize) {
        let body = &mut self.containers[container].bodies[body];
        if body.rank.is_none() {
            body.rank = Some(self.ranks);
            self.ranks += 1;
            self.changes += 1;
            self.containers
                .iter_mut()
                .flat_map(|other| &mut other.bodies)
                .for_each(|body| body.is_blocked = false);
        }
    }

    /// There is no end within a variant.
    pub(in crate::snapshot) fn block(&mut self, container: usize, body: usize) {
        self.containers[container].bodies[body].is_blocked = true;
        self.changes += 1;
    }

    /// An enum has no variant of this number, so that some of its names are of one variant.
    pub(in crate::snapshot) fn lacks(&mut self, container: usize, body: usize) {
        let container = &mut self.containers[container];
        container.bodies[body].is_absent = true;
        container.names.resize(container.bodies.len(), Name::default());
        self.changes += 1;
    }

    /// A type refused what it was shown in a place.
    pub(in crate::snapshot) fn refuse(&mut self, node: usize, name: &str) {
        let node = &mut self.nodes[node];
        node.refused.get_or_insert_with(|| name.to_owned());
        node.sample += 1;
        // After all samples nothing is shown here any more, or the rounds would not end.
        node.is_shut |= node.sample == SAMPLES;
        self.changes += 1;
    }

    /// Nothing can be made for a place.
    pub(in crate::snapshot) fn shut(&mut self, node: usize, name: &str) {
        let node = &mut self.nodes[node];
        node.refused.get_or_insert_with(|| name.to_owned());
        node.is_shut = true;
        self.changes += 1;
    }

    /// Blames a place for the refusal of what was made of it, unless another place is to blame.
    pub(in crate::snapshot) fn settle<T>(&mut self, node: usize, read: Result<T, Abort>) -> Result<T, Abort> {
        read.map_err(|halt| match halt {
            Abort::Refused => {
                self.refuse(node, std::any::type_name::<T>());
                Abort::Blamed
            }
            halt => halt,
        })
    }

    /// Measures how far everything is from something unseen. False if there is nothing unseen.
    pub(in crate::snapshot) fn measure(&mut self) -> bool {
        self.nodes.iter_mut().for_each(|node| node.distance = FAR);
        self.containers.iter_mut().for_each(|container| container.distance = FAR);
        let mut is_closer = true;
        while is_closer && self.steps <= STEPS {
            self.steps += self.nodes.len();
            is_closer = false;
            // Places mostly come after what they lie in, so going backwards settles most distances in one
            // pass.
            for number in (0..self.nodes.len()).rev() {
                let distance = self.of_node(&self.nodes[number]);
                is_closer |= distance < self.nodes[number].distance;
                self.nodes[number].distance = distance;
            }
            for number in 0..self.containers.len() {
                let distances: Vec<u32> =
                    self.containers[number].bodies.iter().map(|body| self.of_body(body)).collect();
                let container = &mut self.containers[number];
                // To try a name is something unseen in the container itself.
                let has_name = container.names.iter().any(|name| !name.is_tried);
                let nearest = distances.iter().copied().min().unwrap_or(FAR);
                let distance = if has_name { 0 } else { nearest };
                is_closer |= distance < container.distance;
                container.distance = distance;
                container
                    .bodies
                    .iter_mut()
                    .zip(distances)
                    .for_each(|(body, distance)| body.distance = distance);
            }
        }
        self.nodes[ROOT].distance < FAR
    }

    fn of_node(&self, node: &Node) -> u32 {
        match &node.asked {
            _ if node.is_shut || node.refused.is_some() => FAR,
            None => 0,
            Some(Request::Named(container)) => self.containers[*container].distance.saturating_add(1),
            Some(_) => self.nearest(&node.below),
        }
    }

    fn of_body(&self, body: &Body) -> u32 {
        match body.form {
            _ if !body.is_open() => FAR,
            None => 0,
            Some(_) => self.nearest(&body.below),
        }
    }

    fn nearest(&self, nodes: &[usize]) -> u32 {
        nodes.iter().map(|node| self.nodes[*node].distance).min().unwrap_or(FAR).saturating_add(1)
    }
}
