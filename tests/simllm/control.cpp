#include "control.hpp"

#include "faults.hpp"
#include "latency.hpp"

#include <simdjson.h>

#include <stdexcept>
#include <string>

namespace gristmill::simllm {
namespace {

using simdjson::dom::element;

// The value as the type asked for, or a refusal that names the member.
template <typename Value>
Value read(const element& value, std::string_view key, std::string_view expected) {
  Value result;
  if (value.get(result) != simdjson::SUCCESS) {
    throw std::invalid_argument(std::string(key) + " must be " + std::string(expected));
  }
  return result;
}

double read_rate(const element& value, std::string_view key) {
  const auto rate = read<double>(value, key, "a number");
  if (rate < 0) throw std::invalid_argument(std::string(key) + " must be at least 0");
  return rate;
}

std::vector<std::string> read_faults(const element& value, std::string_view key) {
  std::vector<std::string> faults;
  for (const element fault : read<simdjson::dom::array>(value, key, "a list of strings")) {
    faults.emplace_back(read<std::string_view>(fault, key, "a list of strings"));
    Fault::parse(faults.back());
  }
  return faults;
}

void read_member(Change& change, std::string_view key, const element& value) {
  if (key == "rpm") {
    change.requests_per_minute = read_rate(value, key);
  } else if (key == "tpm") {
    change.tokens_per_minute = read_rate(value, key);
  } else if (key == "burst_seconds") {
    change.burst_s = read_rate(value, key);
  } else if (key == "slots") {
    change.slots = read<std::uint64_t>(value, key, "a count");
  } else if (key == "inputs_max") {
    change.inputs_max = read<std::uint64_t>(value, key, "a count");
  } else if (key == "latency") {
    change.latency = read<std::string_view>(value, key, "a string");
    LatencyLaw::parse(*change.latency);
  } else if (key == "faults") {
    change.faults = read_faults(value, key);
  } else if (key == "reset_stats") {
    change.reset_stats = read<bool>(value, key, "true or false");
  } else {
    throw std::invalid_argument("unknown setting '" + std::string(key) + "'");
  }
}

} // namespace

Change parse_change(std::string_view padded_json) {
  simdjson::dom::parser parser;
  simdjson::dom::object members;
  if (parser.parse(padded_json.data(), padded_json.size(), false).get(members) !=
      simdjson::SUCCESS) {
    throw std::invalid_argument("the body is not a JSON object");
  }
  Change change;
  for (const auto& [key, value] : members) read_member(change, key, value);
  return change;
}

} // namespace gristmill::simllm
