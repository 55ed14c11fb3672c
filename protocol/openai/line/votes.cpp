#include "protocol/openai/line/votes.hpp"

#include "protocol/openai/task/labels.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {

void Votes::add(const std::string& label, std::uint64_t weight) {
  const auto known = std::ranges::find_if(
      counts_, [&](const auto& count) { return same_label(count.first, label); });
  if (known == counts_.end())
    counts_.emplace_back(label, weight);
  else
    known->second += weight;
}

std::uint64_t Votes::most() const {
  std::uint64_t most = 0;
  for (const auto& [label, weight] : counts_) most = std::max(most, weight);
  return most;
}

bool Votes::tie() const {
  return std::ranges::count_if(
             counts_, [most = most()](const auto& count) { return count.second == most; }) > 1;
}

std::string Votes::label() const {
  if (empty() || tie()) return {};
  return std::ranges::max_element(counts_, {}, [](const auto& count) { return count.second; })
      ->first;
}

std::string Votes::json() const {
  std::string out = "{";
  for (const auto& [label, weight] : counts_) {
    if (out.size() > 1) out += ',';
    json::append_string(out, label);
    out += fmt::format(":{}", weight);
  }
  return out + "}";
}

std::string Labelled::members() const {
  std::string out;
  if (!label.empty())
    json::append_string(out += R"(,"label":)", label);
  else if (!votes.empty())
    out += R"(,"label":null)";
  if (!votes.empty()) (out += R"(,"votes":)") += votes;
  if (tie) out += R"(,"tie":true)";
  return out;
}

bool Labelled::stands_in(json::Value object) const {
  return json::text_of(json::find(object, "label")) == label &&
         json::find(object, "votes").text == votes &&
         (json::find(object, "tie").text == "true") == tie;
}

} // namespace gristmill::openai
