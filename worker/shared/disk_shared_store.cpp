#include "worker/shared/disk_shared_store.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "protocol/rules/by_reference.hpp"
#include "protocol/text/crc32c.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <set>
#include <utility>

namespace gristmill::worker {
namespace {

std::string answers_file(const SharedTask& task, JobId job) {
  return task.directory + "/" + gristmill::answers_file(job, task.session);
}

} // namespace

DiskSharedStore::DiskSharedStore(SharedDirectory directory, SharedStoreEvents events)
    : directory_{std::move(directory)}, events_{std::move(events)} {
  reads_.thread = guarded_thread("shared texts", [this] { read(); });
  writes_.thread = guarded_thread("shared bodies", [this] { write(); });
}

DiskSharedStore::~DiskSharedStore() {
  {
    const std::lock_guard guard{mutex_};
    ends_ = true;
    reads_.wake.notify_one();
    writes_.wake.notify_one();
  }
  reads_.thread.join();
  writes_.thread.join();
}

template <class Work>
void DiskSharedStore::Line<Work>::add(const SharedTask& task, std::vector<Work> work) {
  const bool goes_on = !waiting.empty() && !work.empty() && !waiting.back().work.empty() &&
                       waiting.back().task.session == task.session;
  if (!goes_on) waiting.push_back({task, {}});
  std::vector<Work>& into = waiting.back().work;
  into.insert(into.end(), std::make_move_iterator(work.begin()),
              std::make_move_iterator(work.end()));
  wake.notify_one();
}

void DiskSharedStore::prove(SharedTask task) {
  const std::lock_guard guard{mutex_};
  task_ = std::move(task);
  reads_.add(task_, {});
}

void DiskSharedStore::store(std::vector<BodyToStore> bodies) {
  const std::lock_guard guard{mutex_};
  writes_.add(task_, std::move(bodies));
}

void DiskSharedStore::load(std::vector<TextsToLoad> calls) {
  const std::lock_guard guard{mutex_};
  reads_.add(task_, std::move(calls));
}

template <class Work> bool DiskSharedStore::take(Line<Work>& line, OfSession<Work>& taken) {
  std::unique_lock lock{mutex_};
  line.wake.wait(lock, [&] { return ends_ || !line.waiting.empty(); });
  if (ends_) return false;
  taken = std::move(line.waiting.front());
  line.waiting.pop_front();
  return true;
}

// ---- reading -----------------------------------------------------------------------------------

void DiskSharedStore::read() {
  for (OfSession<TextsToLoad> some; take(reads_, some);) {
    if (some.work.empty()) {
      events_.proved(prove_now(some.task));
      continue;
    }
    std::vector<TextsLoaded> loaded;
    for (const TextsToLoad& call : some.work) loaded.push_back(load_now(some.task, call));
    events_.loaded(std::move(loaded));
  }
}

ProvedShared DiskSharedStore::prove_now(const SharedTask& task) const {
  ProvedShared proved;
  proved.session = task.session;
  const std::string ours = task.directory + "/" + worker_word_file(task.session);
  proved.words.ours = fmt::format("{:016x}", random_seed());
  const auto theirs = directory_.read(task.directory + "/" + coordinator_word_file());
  const auto written = theirs ? directory_.write(ours, proved.words.ours) : Result<>{};
  if (theirs) proved.words.theirs = *theirs;
  if (!theirs)
    proved.failure = "it is not the coordinator's: " + theirs.error().message;
  else if (!written)
    proved.failure = written.error().message;
  return proved;
}

TextsLoaded DiskSharedStore::load_now(const SharedTask& task, const TextsToLoad& call) {
  TextsLoaded loaded{task.session, call.call, {}, {}};
  for (const protocol::SharedRange& range : call.parts) {
    auto text = text_of(range);
    if (!text) {
      loaded.failure = text.error().message;
      break;
    }
    loaded.texts.push_back(std::move(*text));
  }
  return loaded;
}

// What is not as it should be is opened anew once: a file may have been replaced.
Result<std::string> DiskSharedStore::text_of(const protocol::SharedRange& range) {
  for (bool anew = false;; anew = true) {
    auto known = open_.find(range.file);
    if (known == open_.end()) {
      auto file = directory_.open_to_read(range.file);
      GRISTMILL_TRY(file);
      if (open_.size() >= open_files_max) open_.clear();
      known = open_.emplace(range.file, std::move(*file)).first;
    }
    auto text = directory_.read_range(known->second, range.offset, range.bytes, range.crc);
    if (text || anew) return text;
    open_.erase(known);
  }
}

// ---- writing -----------------------------------------------------------------------------------

void DiskSharedStore::write() {
  for (OfSession<BodyToStore> group; take(writes_, group);) events_.stored(store_now(group));
}

// A file is never written on after an error, and a session has one for each job.
std::vector<BodyStored> DiskSharedStore::store_now(const OfSession<BodyToStore>& group) {
  if (writing_for_ != group.task.session) {
    writing_for_ = group.task.session;
    growing_.clear();
    broken_.clear();
  }
  std::vector<BodyStored> stored;
  std::set<JobId> written;
  for (const BodyToStore& body : group.work) {
    BodyStored& one = stored.emplace_back();
    one.session = group.task.session;
    one.attempt = body.attempt;
    if (!broken_.empty()) continue;
    auto place = append(group.task, body);
    if (place)
      one.place = std::move(*place);
    else
      broken_ = place.error().message;
    written.insert(body.job);
  }
  for (const JobId job : written) {
    const auto file = growing_.find(job);
    if (file == growing_.end() || !file->second.file || !broken_.empty()) continue;
    if (auto synced = file->second.file.sync(); !synced) broken_ = synced.error().message;
  }
  for (BodyStored& one : stored) {
    if (broken_.empty()) continue;
    one.place = {};
    one.failure = broken_;
  }
  return stored;
}

Result<protocol::StoredBody> DiskSharedStore::append(const SharedTask& task,
                                                     const BodyToStore& body) {
  const auto growing = file_of(task, body.job);
  GRISTMILL_TRY(growing);
  Growing& file = **growing;
  GRISTMILL_TRY(file.file.write(file.bytes, body.body));
  protocol::StoredBody place;
  place.offset = std::exchange(file.bytes, file.bytes + body.body.size());
  place.bytes = static_cast<std::uint32_t>(body.body.size());
  place.crc = crc32c(body.body);
  return place;
}

Result<DiskSharedStore::Growing*> DiskSharedStore::file_of(const SharedTask& task, JobId job) {
  const auto known = growing_.find(job);
  if (known != growing_.end() && known->second.file) return &known->second;
  GRISTMILL_TRY(make_place());
  if (known != growing_.end()) {
    auto file = directory_.open_to_write(answers_file(task, job));
    GRISTMILL_TRY(file);
    known->second.file = std::move(*file);
    return &known->second;
  }
  GRISTMILL_TRY(directory_.make_directory(task.directory + "/" + answers_directory(job)));
  auto file = directory_.create(answers_file(task, job));
  GRISTMILL_TRY(file);
  return &growing_.emplace(job, Growing{std::move(*file)}).first->second;
}

// The oldest job's file is closed; how far it was written stays known.
Result<> DiskSharedStore::make_place() {
  const auto is_open = [](const auto& of_job) { return bool{of_job.second.file}; };
  if (std::ranges::count_if(growing_, is_open) < static_cast<std::ptrdiff_t>(open_files_max))
    return {};
  SharedFile& oldest = std::ranges::find_if(growing_, is_open)->second.file;
  GRISTMILL_TRY(oldest.sync());
  return oldest.close();
}

} // namespace gristmill::worker
