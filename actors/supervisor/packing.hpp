// PACKING: how many parts go together in the next call of a model. Most calls have as many as every
// endpoint of the model has taken. One at a time is larger, to find out whether larger ones are
// taken. While it is under way only a few others go, so that the input is not spent on small calls:
// none as long as nothing is known. A trial that takes long keeps nobody waiting. Invariant: of
// each model there is at most one trial; and what is known of models has a bound, beyond which each
// part goes by itself, whatever items name.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/supervisor/call_planner.hpp"
#include "actors/supervisor/parts/call_book.hpp"
#include "actors/words/pack_size.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gristmill::supervisor {

class Packing {
public:
  // `most`: inputs of a call, as the job's user wants it; `tokens`: that it may be charged.
  explicit Packing(std::uint32_t most, std::uint64_t tokens = DraftBounds{}.tokens)
      : most_{most}, tokens_{tokens} {}
  // What a call may be charged is kept from others until it ends: of a job that has little, less.
  explicit Packing(const JobSpec& spec)
      : Packing{spec.policy.pack, spec.limits.budget || spec.limits.rates.tokens_per_minute != 0
                                      ? limits::pack_tokens_max
                                      : DraftBounds{}.tokens} {}

  void told(const std::vector<PackSize>& sizes) {
    for (const PackSize& size : sizes)
      if (Model* model = known(size.model)) model->size = size;
  }
  // How long an answer of the model is.
  void heard(const std::string& model, std::size_t answer_bytes) {
    if (Model* its = known(model)) its->answer_bytes = std::max(its->answer_bytes, answer_bytes);
  }
  // Of the next call. `may_try`: no other one gathers.
  DraftBounds bounds(const std::string& model, bool may_try = true) const {
    const auto it = models_.find(model);
    if (it == models_.end() && is_full()) return {};
    const Model& its = it == models_.end() ? unknown() : it->second;
    std::uint64_t parts = its.size.most;
    if (may_try && !its.trial) parts = std::max<std::uint64_t>(parts, its.size.trial);
    if (its.answer_bytes != 0)
      parts = std::min<std::uint64_t>(parts, limits::pack_reply_bytes_max / its.answer_bytes);
    DraftBounds bounds{std::clamp<std::uint64_t>(parts, 1, most_), tokens_};
    if (its.size.tokens != 0) bounds.tokens = std::min(bounds.tokens, its.size.tokens);
    return bounds;
  }
  void leaves(const OfferedCall& call) {
    const CallId id = call.planned.call;
    const std::size_t parts = call.planned.parts.size();
    if (parts == 1 && !models_.contains(call.planned.model)) return;
    Model* const its = known(call.planned.model);
    if (its == nullptr) return;
    Model& model = *its;
    model.stream = call.stream().model;
    if (parts > model.size.most || (parts == model.size.trial && !model.trial)) {
      model.trial = id;
      model.holds_until = now_ + held_for;
    } else if (model.trial) {
      model.beside.push_back(id);
    }
  }
  // Whether a stream makes no other call for now.
  bool holds(std::uint32_t stream) const {
    return std::any_of(models_.begin(), models_.end(), [&](const auto& entry) {
      return entry.second.stream == stream && holds(entry.second);
    });
  }
  Time holds_until() const {
    Time until = never;
    for (const auto& [name, model] : models_)
      if (holds(model)) until = std::min(until, model.holds_until);
    return until;
  }
  // Calls that are not among these are over.
  void look_at(const CallBook& calls, Time now) {
    now_ = now;
    const auto is_over = [&](CallId call) { return calls.find(call) == nullptr; };
    for (auto& [name, model] : models_) {
      if (model.trial && is_over(model.trial)) model.trial = {};
      if (!model.trial) model.beside.clear();
      std::erase_if(model.beside, is_over);
    }
  }

private:
  static constexpr Duration held_for = std::chrono::seconds{10};

  struct Model {
    PackSize size{};
    CallId trial{};
    std::vector<CallId> beside{}; // that left while it is under way
    Time holds_until{};
    std::uint32_t stream = 0;
    std::size_t answer_bytes = 0; // the longest
  };
  bool holds(const Model& model) const {
    const std::size_t most = model.size.most == 1 ? 0 : model.size.beside;
    return model.trial && model.beside.size() >= most && now_ < model.holds_until;
  }
  bool is_full() const { return models_.size() >= limits::packed_models_max; }
  Model* known(const std::string& model) { // nullptr: there is no room to know it
    if (is_full() && !models_.contains(model)) return nullptr;
    return &models_[model];
  }
  static const Model& unknown() {
    static const Model model;
    return model;
  }

  std::uint32_t most_;
  std::uint64_t tokens_;
  Time now_{};
  std::map<std::string, Model> models_; // that calls of several parts were made of, or told of
};

} // namespace gristmill::supervisor
