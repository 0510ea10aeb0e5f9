//! What a job looks like: its operators, what is fused into them, and where records change workers.
//!
//! ```
//! use highwater::stream::Job;
//!
//! let job = Job::new();
//! let words = job.collection(["to be or not to be"]).flat_map(|line| line.split(' ').collect::<Vec<_>>());
//! words.key_by(|word| word.to_string()).count().named("words").discard();
//! let text = job.explain().to_string();
//! assert!(text.contains("1 aggregate \"words\""));
//! assert!(text.contains("flat_map, key_by, map_values, combine by key, exchanged by key"));
//! ```

use std::fmt::{self, Write};

use serde::Serialize;

use super::chain::{Chain, Origin};
use super::graph::{EdgeInfo, NodeInfo, Routing};
use super::{Job, NodeId, Stream};
use crate::data::Data;

/// A job's graph, to be shown: as text with [`Display`](fmt::Display), as [JSON](Explained::json), or as a
/// [DOT](Explained::dot) graph.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    operators: Vec<OperatorShown>,
}

#[derive(Clone, Debug, Serialize)]
struct OperatorShown {
    id: NodeId,
    kind: &'static str,
    name: String,
    uid: String,
    stateful: bool,
    inputs: Vec<InputShown>,
}

#[derive(Clone, Debug, Serialize)]
struct InputShown {
    from: NodeId,
    /// The stateless steps that run in the operator it comes from.
    fused: Vec<&'static str>,
    routing: Routing,
}

impl Job {
    /// Describes the job without running it.
    pub fn explain(&self) -> Explained {
        let (nodes, edges) = (self.graph.nodes(), self.graph.edges());
        let operators =
            nodes.iter().enumerate().map(|(id, node)| OperatorShown::new(id, node, &edges)).collect();
        Explained { operators }
    }
}

impl<T: Data, C: Chain<From = C, Out = T> + Origin> Stream<T, C> {
    /// Names the operator or source that the stream comes from. Names appear in graphs, metrics and messages.
    pub fn named(self, name: impl Into<String>) -> Stream<T, C> {
        self.describe(|info| info.name = name.into())
    }

    /// Gives the operator or source that the stream comes from an identity that outlives changes of the job:
    /// its state in [snapshots](crate::snapshot) is matched by it.
    ///
    /// Without one, an operator is known by its number, which changes when operators are added before it. Two
    /// operators of a job cannot have the same.
    pub fn uid(self, uid: impl Into<String>) -> Stream<T, C> {
        self.describe(|info| info.uid = Some(uid.into()))
    }

    fn describe(self, change: impl FnOnce(&mut NodeInfo)) -> Stream<T, C> {
        self.graph().describe(self.chain.id(), change);
        self
    }
}

impl OperatorShown {
    fn new(id: NodeId, node: &NodeInfo, edges: &[EdgeInfo]) -> OperatorShown {
        let inputs = node.inputs.iter().filter_map(|input| {
            let edge = edges.get(input.edge)?;
            let fused = edge.steps.iter().copied().chain(input.terminal).collect();
            Some(InputShown { from: edge.from, fused, routing: input.routing })
        });
        OperatorShown {
            id,
            kind: node.kind,
            name: node.name.clone(),
            uid: node.uid(id),
            stateful: node.stateful,
            inputs: inputs.collect(),
        }
    }
}

impl InputShown {
    /// The steps and the routing in words; nothing if the records are passed on as they are.
    fn path(&self) -> String {
        let mut words: Vec<&str> = self.fused.clone();
        words.extend(match self.routing {
            Routing::Forward => None,
            Routing::ByKey => Some("exchanged by key"),
            Routing::Rebalance => Some("exchanged in turn"),
            Routing::Broadcast => Some("sent to all workers"),
            Routing::Custom => Some("exchanged by a function"),
        });
        words.join(", ")
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for OperatorShown { id, kind, name, uid, stateful, inputs } in &self.operators {
            let state = if *stateful { ", keeps state" } else { "" };
            writeln!(f, "{id} {kind} \"{name}\" ({uid}{state})")?;
            for input in inputs {
                let path = input.path();
                let colon = if path.is_empty() { "" } else { ": " };
                writeln!(f, "    from {}{colon}{path}", input.from)?;
            }
        }
        Ok(())
    }
}

impl Explained {
    /// The graph as JSON: a list of operators with their inputs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The graph in the language of Graphviz, for `dot -Tsvg`.
    pub fn dot(&self) -> String {
        let mut dot =
            String::from("digraph job {\n  rankdir=LR; node [shape=box, fontname=\"sans-serif\"];\n");
        for operator in &self.operators {
            let style = if operator.stateful { ", style=bold" } else { "" };
            let label = escape(&format!("{}\n{}", operator.kind, operator.name));
            let _ = writeln!(dot, "  n{} [label=\"{label}\"{style}];", operator.id);
            for input in &operator.inputs {
                let style = if input.routing == Routing::Forward { "solid" } else { "bold" };
                let label = escape(&input.path().replace(", ", "\n"));
                let _ = writeln!(
                    dot,
                    "  n{} -> n{} [label=\"{label}\", style={style}];",
                    input.from, operator.id
                );
            }
        }
        dot.push_str("}\n");
        dot
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Tumbling;
    use std::time::Duration;

    fn job() -> Job {
        let job = Job::new();
        let numbers = job.collection(0..9u64);
        let windows = numbers.clone().map(|n| n + 1).window_all(Tumbling::of(Duration::from_secs(1)));
        windows.count().named("a \"count\"").uid("counts").discard();
        numbers.rebalance().filter(|n| *n > 3).discard();
        job
    }

    #[test]
    fn the_text_names_what_is_fused_and_where_records_change_workers() {
        let expected = "\
0 source \"collection\" (source-0)
1 window \"a \"count\"\" (counts, keeps state)
    from 0: map, together, map_values, combine by pane, exchanged by key
2 sink \"discard\" (sink-2)
    from 1
3 exchange \"exchange\" (exchange-3)
    from 0: exchanged in turn
4 sink \"discard\" (sink-4)
    from 3: filter
";
        assert_eq!(job().explain().to_string(), expected);
    }

    #[test]
    fn json_and_dot_say_the_same() {
        let explained = job().explain();
        let json: serde_json::Value = serde_json::from_str(&explained.json()).unwrap();
        assert_eq!(json["operators"][1]["uid"], "counts");
        assert_eq!(json["operators"][1]["inputs"][0]["routing"], "ByKey");
        let dot = explained.dot();
        assert!(dot.contains("n1 [label=\"window\\na \\\"count\\\"\", style=bold];"), "{dot}");
        assert!(dot.contains("n0 -> n1 "), "{dot}");
    }
}
