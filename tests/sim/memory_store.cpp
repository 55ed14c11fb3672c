#include "tests/sim/memory_store.hpp"

#include <algorithm>

namespace gristmill::sim {

journal::Position MemoryStore::make_durable() {
  journal::Group group = std::move(*pending_);
  pending_.reset();
  for (auto& change : group.jobs) {
    journal::RecoveredJob& job = jobs_[change.job];
    job.job = change.job;
    if (!change.spec.empty()) {
      job.spec = change.spec;
      job.directory = change.directory;
      job.created_at = change.at;
    }
    job.state = change.state;
    job.reason = change.reason;
    job.detail = change.detail;
  }
  for (auto& line : group.lines) {
    journal::RecoveredJob& job = jobs_[line.job];
    ++(line.failed() ? job.counts.failed : job.counts.completed);
    job.terminal.insert(line.item);
    terminal_[line.job].insert(line.item);
    attempts_[line.job].erase(line.item);
    lines_[line.job].push_back({line.item, line.failed(), std::move(line.line)});
  }
  for (const auto& note : group.attempts)
    if (!terminal_[note.job].contains(note.item)) attempts_[note.job][note.item] = note;
  for (const auto& note : group.notes) {
    journal::RecoveredJob& job = jobs_[note.job];
    job.counts.attempts += note.attempts;
    job.counts.ambiguous += note.ambiguous;
    job.counts.late += note.late;
    job.low = std::max(job.low, note.low);
  }
  for (const auto& block : group.blocks) {
    blocks_[{epoch_, block.block}] = block;
    const auto previous = blocks_.find({epoch_, block.previous_block});
    if (block.previous_block != 0 && previous != blocks_.end()) {
      previous->second.calls = block.previous_calls;
      previous->second.tokens = block.previous_tokens;
    }
  }
  for (const auto& session : group.sessions) {
    if (session.open) {
      sessions_[session.session] = session;
    } else {
      sessions_.erase(session.session);
    }
  }
  last_ = group.upto;
  return last_;
}

journal::Recovered MemoryStore::recover() {
  journal::Recovered recovered;
  recovered.epoch = Epoch{++epoch_};
  recovered.same_boot = true;
  recovered.last_position = last_;
  for (auto& [id, job] : jobs_) {
    journal::RecoveredJob copy = job;
    for (const auto& [item, note] : attempts_[id]) copy.attempts.push_back(note);
    // Of every epoch: one that crashed before its first block must not hide the one before it.
    for (const auto& [key, block] : blocks_)
      for (const auto& [marked, mark] : block.marks)
        if (marked == id) copy.mark = std::max(copy.mark, mark);
    recovered.jobs.push_back(std::move(copy));
  }
  for (const auto& [key, block] : blocks_) recovered.blocks.push_back(block);
  for (const auto& [id, session] : sessions_) recovered.sessions.push_back(session);
  return recovered;
}

bool MemoryStore::is_terminal(JobId job, std::uint64_t item) const {
  const auto it = terminal_.find(job);
  return it != terminal_.end() && it->second.contains(item);
}

const journal::BlockNote* MemoryStore::block(std::uint64_t epoch, std::uint64_t number) const {
  const auto it = blocks_.find({epoch, number});
  return it == blocks_.end() ? nullptr : &it->second;
}

} // namespace gristmill::sim
