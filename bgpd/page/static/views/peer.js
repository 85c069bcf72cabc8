// One peer: its state and why, families, policies, attempts, what both sides agreed on.
import { ApiError, getObject } from "../api.js";
import { h, render } from "../dom.js";
import { HEALTH, PEER_TYPES, age, clock, count, duration, healthOf, size } from "../format.js";
import { mark } from "../marks.js";
import { badge, card, facts, heading, loading, routesLink, table, trouble } from "../parts.js";
import { eventLine } from "./events.js";

/** @typedef {import("../main.js").Page} Page */

const EVERY = 3000; // milliseconds
const EVENTS_SHOWN = 20;

/**
 * @param {Page} page
 * @returns {() => void}
 */
export function peerView({ root, store, argument: name }) {
  /** @type {any} */
  let peer = null;
  /** @type {ApiError | null} */
  let error = null;
  const abort = new AbortController();
  let timer = 0;

  const load = async () => {
    clearTimeout(timer);
    try {
      peer = await getObject(`peers/${encodeURIComponent(name)}`, {}, abort.signal);
      error = null;
    } catch (failure) {
      if (abort.signal.aborted) return;
      if (!(failure instanceof ApiError)) throw failure;
      error = failure;
      store.failed(failure);
    }
    draw();
    timer = setTimeout(() => void load(), EVERY);
  };

  const draw = () => {
    const back = h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/peers" }, "Peers"), " / ", name);
    if (!peer) {
      render(root, back, heading(name), error ? trouble(error) : loading("the peer"));
      return;
    }
    render(root, back, ...whole(peer, store));
  };

  draw();
  void load();
  const end = store.on("events", () => {
    const last = store.events.at(-1);
    if (last && Reflect.get(last, "peer") === name) {
      clearTimeout(timer);
      timer = setTimeout(() => void load(), 100);
    }
  });
  return () => {
    abort.abort();
    clearTimeout(timer);
    end();
  };
}

/**
 * @param {any} peer
 * @param {import("../store.js").Store} store
 */
function whole(peer, store) {
  const health = healthOf(peer);
  const now = store.now();
  return [
    heading(peer.name, badge(health, [mark(health), ` ${HEALTH[health]}`])),
    peer.description ? h("p", { class: "description" }, peer.description) : null,
    h(
      "div",
      { class: "cards" },
      card(
        "Session",
        facts([
          ["State", peer.state],
          [peer.uptime === null ? "Down for" : "Up for", duration(age(peer.since, now)) && `${duration(age(peer.since, now))}, since ${clock(peer.since)}`],
          ["Disabled by", peer.disabled_by],
          ["Drained by", peer.drained_by && `${peer.drained_by}${peer.drained_since ? `, since ${clock(peer.drained_since)}` : ""}`],
          ["Node", peer.remote_node],
          ["BFD", peer.bfd],
          ["Enabled", peer.is_enabled ? null : "no: pybgpctl enable-peer ends that"],
          ["Address", `${peer.address}, port ${peer.port}`],
          ["Our address", peer.local_address],
          ["AS", `${peer.remote_as ?? "any"}; ours is ${peer.local_as}`],
          ["Type", PEER_TYPES[peer.peer_type]],
          ["Range", peer.range],
          ["Router ID", peer.router_id],
          ["Host name", peer.hostname],
          ["Hold time", `${peer.hold_time} s`],
          ["Protected by", [peer.has_password ? "MD5 key" : "", peer.ttl_security_hops ? `TTL security, ${peer.ttl_security_hops} hops` : ""].filter(Boolean).join(", ")],
        ]),
      ),
      card(
        "Resets and attempts",
        facts([
          ["Last reset", peer.last_reset || "none since the start"],
          ["At", peer.last_reset_at && `${clock(peer.last_reset_at)}, ${duration(age(peer.last_reset_at, now))} ago`],
          ["Last failed attempt", peer.last_attempt],
          ["Attempted at", peer.last_attempt_at && clock(peer.last_attempt_at)],
          ["Next attempt", peer.next_retry === null ? null : `in ${peer.next_retry} s`],
          ["Sessions lost", count(peer.flaps)],
          ["Times established", count(peer.established_transitions)],
          ["Connections tried", count(peer.connect_attempts)],
          ["Connections rejected", count(peer.rejected_connections)],
          ["Malformed UPDATEs", count(peer.malformed_updates)],
        ]),
      ),
      card(
        "Policies",
        facts([
          ["Import policy", peer.import_policy],
          ["Export policy", peer.export_policy],
          ["Next hop sent", peer.next_hop],
          ["Cluster ID", peer.cluster_id],
          ["Default route", peer.default_originate ? "originated" : null],
        ]),
        h(
          "p",
          { class: "links" },
          h("a", { href: routesLink(`peer:${peer.name}`) }, `Accepted routes ${count(peer.accepted)}`),
          peer.filtered ? h("a", { href: routesLink(`is:filtered peer:${peer.name}`) }, `Filtered routes ${count(peer.filtered)}`) : null,
        ),
      ),
      card("Messages", messages(peer)),
    ),
    card("Families", families(peer)),
    peer.negotiated ? card("Negotiated", negotiated(peer)) : null,
    recent(peer, store),
  ];
}

/** @param {any} peer */
const families = (peer) =>
  table({
    label: "Families",
    columns: ["Family", "Received", "Accepted", "Filtered", "Limit", "Stale", "Pending", "Remarks"],
    numeric: [1, 2, 3, 4, 5, 6],
    rows: peer.families.map((/** @type {any} */ family) => [
      family.family,
      count(family.received),
      count(family.accepted),
      count(family.filtered),
      family.max_prefixes ? count(family.max_prefixes) : "none",
      count(family.stale),
      count(family.pending),
      remarks(family),
    ]),
  });

/** @param {any} family */
const remarks = (family) =>
  [
    family.is_negotiated ? "" : "not negotiated",
    family.end_of_rib_received ? "End-of-RIB received" : "",
    family.is_slow ? "slow peer" : "",
    family.blocked ? `${count(family.blocked)} blocked by a limit` : "",
    family.excess ? `${count(family.excess)} not advertised: max_advertised` : "",
    family.stale_phase ? `stale: ${family.stale_phase}, ${duration(family.stale_time_left) || "0 s"} left` : "",
    family.defers_routes ? "selection deferral keeps routes back" : "",
    ...Object.entries(family.ignored ?? {}).map(([kind, number]) => `${count(/** @type {number} */ (number))} ignored: ${kind}`),
  ]
    .filter(Boolean)
    .join("; ");

/** @param {any} peer */
const messages = (peer) => [
  table({
    label: "Messages",
    columns: ["Message", "Received", "Sent"],
    numeric: [1, 2],
    rows: Object.entries(peer.messages).map(([kind, figures]) => [
      kind.toUpperCase(),
      count(/** @type {any} */ (figures).received),
      count(/** @type {any} */ (figures).sent),
    ]),
  }),
  h("p", { class: "muted" }, `${size(peer.octets_received)} received`),
];

/** @param {any} peer */
function negotiated(peer) {
  const agreed = peer.negotiated;
  /** @param {boolean} value */
  const yes = (value) => (value ? "yes" : "no");
  const longLived = Object.entries(agreed.long_lived_stale_times ?? {}).map(([family, time]) => `${family} ${duration(/** @type {number} */ (time))}`);
  return facts([
    ["Families", agreed.families.join(", ")],
    ["Hold and keepalive time", `${agreed.hold_time} s, ${agreed.keepalive_time} s`],
    ["AS numbers of four octets", yes(agreed.four_octet_as)],
    ["Route refresh", agreed.enhanced_route_refresh ? "enhanced" : yes(agreed.route_refresh)],
    ["Longest message", `${count(agreed.max_message_len)} octets`],
    ["Paths received", agreed.add_path_receive.length ? `several: ${agreed.add_path_receive.join(", ")}` : "one for each prefix"],
    ["Paths sent", agreed.add_path_send.length ? `several: ${agreed.add_path_send.join(", ")}` : "one for each prefix"],
    ["Extended next hop", agreed.extended_next_hop.join(", ")],
    ["Graceful restart", agreed.graceful_restart_time === null ? "no" : `${agreed.graceful_restart_time} s: ${agreed.graceful_restart_families.join(", ")}`],
    ["Long-lived stale time", longLived.join(", ")],
    ["BGP roles", agreed.local_role && `we ${agreed.local_role}, the peer ${agreed.peer_role ?? "none"}`],
  ]);
}

/**
 * @param {any} peer
 * @param {import("../store.js").Store} store
 */
function recent(peer, store) {
  const events = store.events.filter((event) => Reflect.get(event, "peer") === peer.name).slice(-EVENTS_SHOWN).reverse();
  return events.length ? card("Events of this peer", h("ol", { class: "events" }, events.map(eventLine))) : null;
}
