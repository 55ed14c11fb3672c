// The structs of protocol/node/messages.hpp as they travel: which tag stands for a message, which
// key for a member, and what is demanded of its value. One table per struct serves writing and
// reading, so the two cannot disagree. Invariant: a tag or key never changes its meaning and is
// never reused; a new member gets a new key, which older readers skip and whose absence means its
// default.
#pragma once

#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"

#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

namespace gristmill::protocol::wire {

enum class Rule : std::uint8_t {
  plain,    // a number, a flag, a struct or a list of such
  name,     // text of one line: no control characters
  sentence, // text
  spec,     // text, the JSON of a job's specification
  item,     // opaque bytes of the input
  answer,   // opaque bytes of a model's reply
};

constexpr std::size_t bytes_max(Rule rule) {
  switch (rule) {
  case Rule::plain: return 0;
  case Rule::name: return limits::name_bytes_max;
  case Rule::sentence: return limits::text_bytes_max;
  case Rule::spec: return limits::spec_bytes_max;
  case Rule::item: return limits::line_bytes_max;
  case Rule::answer: return limits::reply_bytes_max;
  }
  return 0;
}
constexpr bool is_opaque(Rule rule) {
  return rule == Rule::item || rule == Rule::answer;
}

// A key of up to seven bytes as one number, so that reading compares numbers; 0 is no key of ours.
constexpr std::uint64_t word_of(std::string_view key) {
  if (key.size() > 7) return 0;
  std::uint64_t word = 1;
  for (const char c : key) word = word << 8 | static_cast<unsigned char>(c);
  return word;
}

template <class Struct, class Member> struct Field {
  std::string_view key;
  Member Struct::*member;
  Rule rule = Rule::plain;
  bool essential = false; // must be there, and is neither 0 nor empty
  std::uint64_t word = word_of(key);
  constexpr auto& of(auto& object) const { return object.*member; }
};

// A member of a struct within the struct, which travels as if it were the outer one's own.
template <class Outer, class Struct, class Member> struct InnerField {
  std::string_view key;
  Struct Outer::*outer;
  Member Struct::*member;
  Rule rule = Rule::plain;
  bool essential = false;
  std::uint64_t word = word_of(key);
  constexpr auto& of(auto& object) const { return (object.*outer).*member; }
};

template <class Struct, class Member>
constexpr Field<Struct, Member> field(std::string_view key, Member Struct::*member,
                                      Rule rule = Rule::plain) {
  return {key, member, rule};
}
template <class Struct, class Member>
constexpr Field<Struct, Member> essential(std::string_view key, Member Struct::*member) {
  return {key, member, Rule::plain, true};
}

// Enums without names: the first and the last value. One with names travels by its name.

template <class Enum> inline constexpr int range = 0;
template <>
inline constexpr std::pair range<OutcomeClass>{OutcomeClass::ok,
                                               static_cast<OutcomeClass>(outcome_class_count - 1)};
template <> inline constexpr std::pair range<ItemKind>{ItemKind::batch_line, ItemKind::text};
template <>
inline constexpr std::pair range<LimitHint::Name>{LimitHint::Name::requests,
                                                  LimitHint::Name::other_tokens};
template <>
inline constexpr std::pair range<RefusedCode>{RefusedCode::no_session, RefusedCode::full};

// Structs within messages.

template <class Struct> inline constexpr std::tuple<> fields;

template <>
inline constexpr std::tuple fields<PartId>{
    essential("j", &PartId::job),
    field("i", &PartId::item),
    field("p", &PartId::part),
};
template <>
inline constexpr std::tuple fields<Capacity>{
    field("c", &Capacity::calls),
    field("b", &Capacity::bytes),
};
template <class Member> constexpr auto limit(std::string_view key, Member RateLimits::*member) {
  return InnerField<EndpointSpec, RateLimits, Member>{key, &EndpointSpec::limits, member};
}
template <>
inline constexpr std::tuple fields<EndpointSpec>{
    field("u", &EndpointSpec::url, Rule::name),
    field("e", &EndpointSpec::api_key_env, Rule::name),
    field("f", &EndpointSpec::api_key_file, Rule::sentence),
    limit("r", &RateLimits::requests_per_minute),
    limit("t", &RateLimits::tokens_per_minute),
    limit("rd", &RateLimits::requests_per_day),
    limit("td", &RateLimits::tokens_per_day),
    limit("m", &RateLimits::max_in_flight),
    limit("s", &RateLimits::strict_tokens),
    limit("c", &RateLimits::token_counting),
    field("q", &EndpointSpec::metrics_url, Rule::name),
    limit("ti", &RateLimits::input_tokens_per_minute),
    limit("to", &RateLimits::output_tokens_per_minute),
};
template <>
inline constexpr std::tuple fields<Claim>{
    essential("c", &Claim::call),
    essential("a", &Claim::attempt),
    essential("p", &Claim::parts),
    field("e", &Claim::endpoint),
};
template <>
inline constexpr std::tuple fields<AnnouncedEndpoint>{
    field("m", &AnnouncedEndpoint::model, Rule::name),
    field("e", &AnnouncedEndpoint::endpoint),
};
template <>
inline constexpr std::tuple fields<Usage>{
    field("k", &Usage::known),  field("p", &Usage::prompt),    field("c", &Usage::completion),
    field("h", &Usage::cached), field("r", &Usage::reasoning),
};
template <>
inline constexpr std::tuple fields<LimitHint>{
    field("n", &LimitHint::name),
    field("l", &LimitHint::limit),
    field("r", &LimitHint::remaining),
    field("s", &LimitHint::reset_ms),
};
template <>
inline constexpr std::tuple fields<Answer>{
    field("p", &Answer::part),
    field("o", &Answer::cls),
    field("b", &Answer::body, Rule::answer),
};
template <class Member>
constexpr auto of_stored(std::string_view key, Member StoredBody::*member,
                         Rule rule = Rule::plain) {
  return InnerField<Outcome, StoredBody, Member>{key, &Outcome::stored, member, rule};
}
template <>
inline constexpr std::tuple fields<Outcome>{
    essential("c", &Claim::call),
    essential("a", &Claim::attempt),
    essential("p", &Claim::parts),
    field("e", &Claim::endpoint),
    field("o", &Reply::cls),
    field("h", &Reply::http_status),
    field("r", &Reply::retry_after_ms),
    field("t", &Reply::tokens_refused),
    field("q", &Reply::limits),
    field("l", &Reply::latency_us),
    field("u", &Reply::usage),
    field("i", &Reply::request_id, Rule::name),
    field("m", &Reply::model, Rule::name),
    field("k", &Reply::code, Rule::name),
    field("s", &Reply::message, Rule::sentence),
    field("b", &Reply::body, Rule::answer),
    field("w", &Outcome::answers),
    field("f", &Reply::may_be_repaired),
    of_stored("x", &StoredBody::offset),
    of_stored("n", &StoredBody::bytes),
    of_stored("z", &StoredBody::crc),
    of_stored("y", &StoredBody::label, Rule::sentence),
};
template <>
inline constexpr std::tuple fields<QueueReport>{
    essential("e", &QueueReport::endpoint),
    field("w", &QueueReport::waiting),
    field("r", &QueueReport::running),
};
template <>
inline constexpr std::tuple fields<ReadPause>{
    essential("e", &ReadPause::endpoint),
    field("m", &ReadPause::ms),
};
template <>
inline constexpr std::tuple fields<Returned::Entry>{
    essential("c", &Returned::Entry::call),
    field("a", &Returned::Entry::attempt),
};
template <>
inline constexpr std::tuple fields<EndpointEntry>{
    essential("i", &EndpointEntry::id),
    field("e", &EndpointEntry::endpoint),
    field("m", &EndpointEntry::model, Rule::name),
};
template <class Member> constexpr auto of_id(std::string_view key, Member PartId::*member) {
  return InnerField<PlannedPart, PartId, Member>{key, &PlannedPart::id, member};
}
template <class Member>
constexpr auto of_repair(std::string_view key, Member Repair::*member, Rule rule) {
  return InnerField<PlannedPart, Repair, Member>{key, &PlannedPart::repair, member, rule};
}
template <class Member>
constexpr auto of_range(std::string_view key, Member SharedRange::*member,
                        Rule rule = Rule::plain) {
  return InnerField<PlannedPart, SharedRange, Member>{key, &PlannedPart::range, member, rule};
}
template <>
inline constexpr std::tuple fields<PlannedPart>{
    of_id("j", &PartId::job),
    of_id("i", &PartId::item),
    of_id("p", &PartId::part),
    field("k", &PlannedPart::kind),
    field("r", &PlannedPart::raw, Rule::item),
    of_repair("a", &Repair::answer, Rule::item),
    of_repair("f", &Repair::fault, Rule::sentence),
    of_range("d", &SharedRange::file, Rule::sentence),
    of_range("x", &SharedRange::offset),
    of_range("n", &SharedRange::bytes),
    of_range("z", &SharedRange::crc),
};
template <>
inline constexpr std::tuple fields<PlannedCall>{
    essential("c", &PlannedCall::call),
    essential("p", &PlannedCall::parts),
    field("m", &PlannedCall::model, Rule::name),
};
template <>
inline constexpr std::tuple fields<Permit>{
    essential("c", &Permit::call),
    essential("a", &Permit::attempt),
    essential("e", &Permit::endpoint),
    field("l", &Permit::life_ms),
};

// Messages.

template <>
inline constexpr std::tuple fields<Hello>{
    essential("vl", &Hello::version_low),
    essential("vh", &Hello::version_high),
    field("cl", &Hello::cluster, Rule::name),
    field("n", &Hello::name, Rule::name),
    essential("p", &Hello::process),
    field("i", &Hello::number),
    field("c", &Hello::capacity),
    field("e", &Hello::endpoints),
    field("f", &Hello::in_flight),
    field("o", &Hello::outbox),
    field("h", &Hello::held),
};
template <>
inline constexpr std::tuple fields<Need>{
    essential("n", &Need::nonce),
    field("c", &Need::calls),
    field("a", &Need::ahead),
};
template <>
inline constexpr std::tuple fields<Heartbeat>{
    field("c", &Heartbeat::capacity),
    field("f", &Heartbeat::in_flight),
    field("h", &Heartbeat::held),
    field("q", &Heartbeat::queues),
};
template <>
inline constexpr std::tuple fields<Outcomes>{
    field("o", &Outcomes::outcomes),
};
template <>
inline constexpr std::tuple fields<Returned>{
    field("c", &Returned::calls),
    field("k", &Returned::keeps_calls),
    field("l", &Returned::too_late),
};
template <>
inline constexpr std::tuple fields<Welcome>{
    essential("v", &Welcome::version),          field("h", &Welcome::heartbeat_ms),
    field("w", &Welcome::outcome_window_bytes), field("e", &Welcome::endpoints),
    field("d", &Welcome::drop_attempts),        field("k", &Welcome::keep_held),
    field("s", &Welcome::shared, Rule::name),
};
template <>
inline constexpr std::tuple fields<Refused>{
    essential("c", &Refused::code),
    field("s", &Refused::sentence, Rule::sentence),
};
template <>
inline constexpr std::tuple fields<JobOpened>{
    essential("j", &JobOpened::job),
    field("s", &JobOpened::spec, Rule::spec),
    field("e", &JobOpened::endpoints),
    field("r", &JobOpened::by_reference),
};
template <>
inline constexpr std::tuple fields<Batch>{
    field("c", &Batch::calls),
};
template <>
inline constexpr std::tuple fields<Permits>{
    essential("n", &Permits::nonce),
    field("p", &Permits::permits),
};
template <>
inline constexpr std::tuple fields<Wait>{
    essential("n", &Wait::nonce),
    field("c", &Wait::calls),
    field("w", &Wait::wait_ms),
};
template <>
inline constexpr std::tuple fields<Recorded>{
    field("a", &Recorded::attempts),
    field("q", &Recorded::pauses),
    field("j", &Recorded::closed_jobs),
};
template <>
inline constexpr std::tuple fields<Cancel>{
    field("c", &Cancel::calls),
};

template <>
inline constexpr std::tuple fields<SharedProof>{
    field("t", &SharedProof::theirs, Rule::name),
    field("o", &SharedProof::ours, Rule::name),
};

// A worker's tags are below 32, a coordinator's from there on.
inline constexpr std::uint8_t first_coordinator_tag = 32;
template <class M> inline constexpr std::uint8_t tag = 0;
template <> inline constexpr std::uint8_t tag<Hello> = 1;
template <> inline constexpr std::uint8_t tag<Need> = 2;
template <> inline constexpr std::uint8_t tag<Heartbeat> = 3;
template <> inline constexpr std::uint8_t tag<Outcomes> = 4;
template <> inline constexpr std::uint8_t tag<Returned> = 5;
template <> inline constexpr std::uint8_t tag<Goodbye> = 6;
template <> inline constexpr std::uint8_t tag<SharedProof> = 7;
template <> inline constexpr std::uint8_t tag<Welcome> = 32;
template <> inline constexpr std::uint8_t tag<Refused> = 33;
template <> inline constexpr std::uint8_t tag<JobOpened> = 34;
template <> inline constexpr std::uint8_t tag<Batch> = 35;
template <> inline constexpr std::uint8_t tag<Permits> = 36;
template <> inline constexpr std::uint8_t tag<Wait> = 37;
template <> inline constexpr std::uint8_t tag<Recorded> = 38;
template <> inline constexpr std::uint8_t tag<Cancel> = 39;
template <> inline constexpr std::uint8_t tag<Drain> = 40;
template <> inline constexpr std::uint8_t tag<SharedAgreed> = 41;

} // namespace gristmill::protocol::wire
