#include "tests/sim/memory_store.hpp"

#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::sim {

using defaults::block_memory;

namespace {

// All lines of a job as one segment.
class MemoryLines final : public journal::JobLines {
public:
  explicit MemoryLines(std::string text) : text_{std::move(text)}, segments_{{1, text_.size()}} {}
  const std::vector<journal::Segment>& segments() const override { return segments_; }
  Result<> read(std::size_t, std::uint64_t offset, std::span<char> into) override {
    std::copy_n(text_.data() + offset, into.size(), into.data());
    return {};
  }
  std::string place_of(std::size_t) const override { return "memory"; }

private:
  std::string text_;
  std::vector<journal::Segment> segments_;
};

} // namespace

journal::Group MemoryStore::take_back() {
  return *std::exchange(pending_, std::nullopt);
}

journal::Position MemoryStore::make_durable() {
  journal::Group group = take_back();
  if (group.empty()) return last_ = group.upto; // the real one writes nothing then
  for (const auto& job : group.jobs) change(job);
  for (const auto& again : group.reopened) reopen(again);
  for (auto& line : group.lines) add_line(std::move(line));
  for (auto& line : group.parts) add_part(std::move(line));
  for (const auto& note : group.attempts)
    if (Job& job = jobs_[note.part.job]; !job.has_ended(note.part)) job.attempts[note.part] = note;
  for (const auto& note : group.notes) {
    journal::RecoveredJob& job = jobs_[note.job].known;
    job.counts.attempts += note.attempts;
    job.counts.ambiguous += note.ambiguous;
    job.counts.calls += note.calls;
    job.counts.cached += note.cached;
    job.counts.saved_prompt_tokens += note.saved_prompt_tokens;
    job.counts.saved_completion_tokens += note.saved_completion_tokens;
    job.counts.saved_cost += note.saved_cost;
    job.counts.late += note.late;
    job.counts.prompt_tokens += note.prompt_tokens;
    job.counts.completion_tokens += note.completion_tokens;
    job.counts.cached_prompt_tokens += note.cached_prompt_tokens;
    job.counts.cost += note.cost;
    job.counts.preprocessed.raise_to(note.low.before);
    job.low = std::max(job.low, note.low);
  }
  for (const auto& block : group.blocks) add_block(block);
  for (const auto& note : group.marks) {
    if (!jobs_.contains(note.job)) continue; // forgotten
    std::uint64_t& mark = jobs_[note.job].known.mark;
    mark = std::max(mark, note.mark);
  }
  for (const auto& note : group.days) {
    std::erase_if(days_,
                  [&note](const auto& entry) { return entry.first.second <= note.noted_at; });
    days_[{note.account, note.until}] = note;
    days_clock_ = note.noted_at;
  }
  for (const auto& note : group.money) {
    if (!jobs_.contains(note.job)) continue; // forgotten
    journal::RecoveredJob& job = jobs_[note.job].known;
    job.money_watermark = note.watermark.value_or(job.money_watermark);
    job.money_assumed = note.assumed.value_or(job.money_assumed);
  }
  for (const auto& note : group.learned) {
    if (!jobs_.contains(note.job)) continue; // forgotten
    auto& learned = jobs_[note.job].known.learned;
    std::erase_if(learned, [&](const auto& before) { return before.model == note.model; });
    learned.push_back(note);
  }
  for (const auto& note : group.errors) {
    if (!jobs_.contains(note.job)) continue; // forgotten
    ErrorList& errors = jobs_[note.job].known.errors;
    std::erase_if(errors, [&](const auto& before) { return same_cause(before, note.error); });
    errors.push_back(note.error);
  }
  for (const auto& note : group.appends) {
    journal::RecoveredJob& job = jobs_[note.job].known;
    if (note.closes())
      job.is_closed = true;
    else
      job.appends.push_back(note);
  }
  for (const auto& note : group.concurrency) {
    std::erase_if(concurrency_, [&](const auto& before) { return before.account == note.account; });
    if (!note.is_gone()) concurrency_.push_back(note);
  }
  for (const auto& session : group.sessions) {
    if (session.open) {
      sessions_[session.session] = session;
    } else {
      sessions_.erase(session.session);
    }
  }
  for (const JobId job : group.forgotten) {
    jobs_.erase(job);
    last_forgotten_ = std::max(last_forgotten_, job);
  }
  return last_ = group.upto;
}

void MemoryStore::change(const journal::JobChange& change) {
  journal::RecoveredJob& job = jobs_[change.job].known;
  job.job = change.job;
  if (!change.spec.empty()) {
    job.spec = change.spec;
    job.directory = change.directory;
    if (job.created_at == 0) job.created_at = change.at;
  }
  job.state = change.state;
  job.reason = change.reason;
  job.detail = change.detail;
  job.ended_at = change.kept_at();
}

void MemoryStore::reopen(const journal::Reopened& again) {
  journal::RecoveredJob& job = jobs_[again.job].known;
  for (auto& [cls, items] : job.failed)
    if (items.erase(again.item)) --job.counts.failed;
  if (const auto parts = job.parts.find(again.item); parts != job.parts.end())
    parts->second.failed.clear();
  job.terminal.erase(again.item);
  job.low = {}; // nothing says where a reopened item stands
}

void MemoryStore::add_line(journal::ResultLine line) {
  Job& job = jobs_[line.job];
  ++(line.failed() ? job.known.counts.failed : job.known.counts.completed);
  if (line.failed()) job.known.failed[line.cls].insert(line.item);
  job.known.terminal.insert(line.item);
  job.attempts.erase({line.job, line.item, 0});
  if (!line.failed()) job.known.parts.erase(line.item);
  if (!line.failed()) add_answer(line.job, line.key, line.line);
  job.lines.push_back(std::move(line));
}

void MemoryStore::add_part(journal::PartLine line) {
  Job& job = jobs_[line.part.job];
  ++job.known.counts.parts;
  journal::EndedParts& ended = job.known.parts[line.part.item];
  if (line.failed())
    ended.failed.insert(line.part.part);
  else
    ended.answered[line.part.part] = line.size;
  job.attempts.erase(line.part);
  if (!line.failed()) add_answer(line.part.job, line.key, line.line);
  job.parts.push_back(std::move(line));
}

void MemoryStore::add_answer(JobId job, const RequestKey& key, const std::string& line) {
  if (key) jobs_[job].answers.try_emplace(key, line);
}

Result<std::optional<std::string>> MemoryStore::answer_to(JobId id, const RequestKey& key) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return std::nullopt;
  const auto answer = job->second.answers.find(key);
  return answer == job->second.answers.end() ? std::nullopt : std::optional{answer->second};
}

bool MemoryStore::Job::has_ended(const PartId& part) const {
  if (known.terminal.contains(part.item)) return true;
  const auto ended = known.parts.find(part.item);
  return ended != known.parts.end() && ended->second.contains(part.part);
}

// Of a part that ran again the last line holds.
Result<std::vector<journal::PartLine>>
MemoryStore::parts_of(JobId id, std::uint64_t item, std::uint32_t first, std::uint32_t last) {
  std::map<std::uint32_t, journal::PartLine> lines;
  if (const auto it = jobs_.find(id); it != jobs_.end())
    for (const journal::PartLine& line : it->second.parts)
      if (line.part.item == item && line.part.part >= first && line.part.part < last &&
          it->second.has_ended(line.part))
        lines[line.part.part] = line;
  std::vector<journal::PartLine> parts;
  for (auto& [part, line] : lines) parts.push_back(std::move(line));
  return parts;
}

Result<std::shared_ptr<journal::JobLines>> MemoryStore::lines_of(JobId id,
                                                                 journal::LineKind kind) const {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return fail(ErrorCode::not_found, "the journal knows no " + to_string(id));
  std::string text;
  const auto add_all = [&text](const auto& lines) {
    for (const auto& line : lines) text += line.line + "\n";
  };
  if (kind == journal::LineKind::results)
    add_all(it->second.lines);
  else
    add_all(it->second.parts);
  return std::make_shared<MemoryLines>(std::move(text));
}

void MemoryStore::add_block(const journal::BlockNote& block) {
  blocks_[{epoch_, block.block}] = block;
  for (const journal::DrawnNote& drawn : block.drawn) {
    const auto before = blocks_.find({epoch_, drawn.block});
    if (before == blocks_.end()) continue;
    before->second.calls = drawn.calls;
    before->second.tokens = drawn.tokens;
  }
  for (const std::uint64_t over : block.over) blocks_.erase({epoch_, over});
}

Result<journal::RecoveredJob> MemoryStore::read_job(JobId id) const {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return fail(ErrorCode::not_found, "the journal knows no " + to_string(id));
  journal::RecoveredJob job = it->second.known;
  for (const auto& [part, note] : it->second.attempts) job.attempts.push_back(note);
  return job;
}

journal::Recovered MemoryStore::recover(Time now, std::uint32_t boot) {
  journal::Recovered recovered;
  recovered.same_boot = lives_.empty() || lives_.rbegin()->second.boot == boot;
  lives_[++epoch_] = {boot, now};
  recovered.epoch = Epoch{epoch_};
  recovered.last_position = last_;
  recovered.last_forgotten = last_forgotten_;
  for (const auto& [id, job] : jobs_) {
    recovered.jobs.push_back(*read_job(id));
  }
  // Everything of another boot was over when the first life of this one began.
  Time first = now;
  std::map<std::uint32_t, Time> newest;
  for (const auto& [epoch, life] : lives_)
    if (life.boot == boot) first = std::min(first, life.started);
  for (const auto& [key, block] : blocks_) {
    Time& until = newest[lives_.at(static_cast<std::uint32_t>(key.first)).boot];
    until = std::max(until, block.until);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> over;
  for (const auto& [key, block] : blocks_) {
    const std::uint32_t of = lives_.at(static_cast<std::uint32_t>(key.first)).boot;
    journal::BlockNote note = block;
    if (of == boot ? note.until <= now - block_memory
                   : first <= now - block_memory || note.until <= newest[of] - block_memory) {
      over.push_back(key);
      continue;
    }
    if (of != boot) note.until = first;
    recovered.blocks.push_back(std::move(note));
  }
  for (const auto& key : over) blocks_.erase(key);
  // Of another boot is left what was left when it was last heard of.
  for (auto& [key, note] : std::exchange(days_, {})) {
    if (!recovered.same_boot) note.until += now - days_clock_;
    note.noted_at = now;
    if (note.until <= now) continue;
    days_[{note.account, note.until}] = note;
    recovered.days.push_back(note);
  }
  days_clock_ = now;
  if (concurrency_.size() > limits::found_limits_max)
    concurrency_.erase(concurrency_.begin(), concurrency_.end() - limits::found_limits_max);
  recovered.concurrency = concurrency_;
  for (const auto& [id, session] : sessions_) recovered.sessions.push_back(session);
  return recovered;
}

void MemoryStore::measure(Sizes& sizes) const {
  sizes["rows of jobs"] = jobs_.size();
  for (const auto& [id, job] : jobs_) {
    sizes["rows of lines"] += job.lines.size();
    sizes["rows of notes"] +=
        job.attempts.size() + job.known.learned.size() + job.known.errors.size();
  }
  sizes["rows of lives"] = lives_.size();
  sizes["rows of blocks"] = blocks_.size();
  sizes["rows of days"] = days_.size();
  sizes["rows of concurrency"] = concurrency_.size();
  sizes["rows of sessions"] = sessions_.size();
}

const MemoryStore::Job* MemoryStore::job(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

const journal::BlockNote* MemoryStore::block(std::uint64_t epoch, std::uint64_t number) const {
  const auto it = blocks_.find({epoch, number});
  return it == blocks_.end() ? nullptr : &it->second;
}

} // namespace gristmill::sim
