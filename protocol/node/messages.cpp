#include "protocol/node/messages.hpp"

namespace gristmill::protocol {
namespace {

struct Word {
  std::string_view name;
  bool from_worker;
};

constexpr Word word(const Hello&) {
  return {"Hello", true};
}
constexpr Word word(const Need&) {
  return {"Need", true};
}
constexpr Word word(const Heartbeat&) {
  return {"Heartbeat", true};
}
constexpr Word word(const Outcomes&) {
  return {"Outcomes", true};
}
constexpr Word word(const Returned&) {
  return {"Returned", true};
}
constexpr Word word(const Goodbye&) {
  return {"Goodbye", true};
}
constexpr Word word(const Welcome&) {
  return {"Welcome", false};
}
constexpr Word word(const Refused&) {
  return {"Refused", false};
}
constexpr Word word(const JobOpened&) {
  return {"JobOpened", false};
}
constexpr Word word(const Batch&) {
  return {"Batch", false};
}
constexpr Word word(const Permits&) {
  return {"Permits", false};
}
constexpr Word word(const Wait&) {
  return {"Wait", false};
}
constexpr Word word(const Recorded&) {
  return {"Recorded", false};
}
constexpr Word word(const Cancel&) {
  return {"Cancel", false};
}
constexpr Word word(const Drain&) {
  return {"Drain", false};
}
constexpr Word word(const SharedProof&) {
  return {"SharedProof", true};
}
constexpr Word word(const SharedAgreed&) {
  return {"SharedAgreed", false};
}

Word word_of(const Message& message) {
  return std::visit([](const auto& m) { return word(m); }, message);
}

} // namespace

bool from_worker(const Message& message) {
  return word_of(message).from_worker;
}
bool stands_alone(const Message& message) {
  return std::holds_alternative<Hello>(message) || std::holds_alternative<Welcome>(message) ||
         std::holds_alternative<Refused>(message);
}

std::size_t Outcome::bytes() const {
  std::size_t bytes = body.size() + message.size() + 256;
  for (const Answer& answer : answers) bytes += answer.body.size() + 64;
  return bytes;
}

std::vector<PartId> PlannedCall::part_ids() const {
  std::vector<PartId> ids;
  ids.reserve(parts.size());
  for (const PlannedPart& part : parts) ids.push_back(part.id);
  return ids;
}

std::size_t PlannedCall::bytes() const {
  std::size_t bytes = 64;
  for (const PlannedPart& part : parts) bytes += part.bytes();
  return bytes;
}

std::string_view name_of(const Message& message) {
  return word_of(message).name;
}

} // namespace gristmill::protocol
