#include "coordinator/cache/answer_cache.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/log.hpp"
#include "protocol/openai/request/canonical.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t kept_bytes_max = 64u << 20; // that wait to be written
constexpr std::size_t slice_bytes = 1u << 20;     // of answers that are given back together

std::size_t bytes_of(const std::vector<KeptAnswer>& answers) {
  std::size_t bytes = 0;
  for (const KeptAnswer& kept : answers) bytes += kept.answer.body.size();
  return bytes;
}

void log_cache(std::string_view name, std::string why) {
  log_event("cache", {std::string{name}, {{"why", std::move(why)}}, true});
}

} // namespace

Result<std::unique_ptr<AnswerCache>> AnswerCache::open(const std::string& directory,
                                                       std::uint64_t bytes_max, Found found) {
  std::error_code ignored;
  if (std::filesystem::exists(directory, ignored) &&
      !std::filesystem::is_directory(directory, ignored))
    return fail(ErrorCode::usage,
                fmt::format("--cache: expected a directory, {} is a file", directory));
  auto store = CacheStore::open(directory, bytes_max);
  GRISTMILL_TRY(store);
  return std::unique_ptr<AnswerCache>{new AnswerCache{std::move(*store), std::move(found)}};
}

AnswerCache::AnswerCache(CacheStore store, Found found)
    : store_{std::move(store)}, found_{std::move(found)} {
  tell({});
  thread_ = guarded_thread("cache", [this] { run(); });
}

AnswerCache::~AnswerCache() {
  {
    const std::lock_guard guard{mutex_};
    closing_ = true;
    wake_.notify_one();
  }
  thread_.join();
  const CacheCounts counts = store_.counts();
  const std::uint64_t lost = dropped_ + counts.dropped_busy + counts.dropped_full;
  if (lost + counts.unasked_busy > 0)
    log_cache(
        "cache.missed",
        fmt::format("{} answers were not kept, because they came faster than they could be "
                    "written, or it was busy or full; {} were not looked for while it was busy",
                    lost, counts.unasked_busy));
}

void AnswerCache::find(CacheQuestion question) {
  const std::lock_guard guard{mutex_};
  // A job waits for it, and for what is to be kept nobody does.
  const auto behind = std::ranges::find_if(
      tasks_, [](const Task& task) { return !std::holds_alternative<CacheQuestion>(task); });
  tasks_.insert(behind, std::move(question));
  wake_.notify_one();
}

void AnswerCache::keep(std::vector<KeptAnswer> answers) {
  const std::lock_guard guard{mutex_};
  if (kept_bytes_ > kept_bytes_max) {
    dropped_ += answers.size();
    return;
  }
  kept_bytes_ += bytes_of(answers);
  tasks_.push_back(std::move(answers));
  wake_.notify_one();
}

// After the last question nobody is there to hear an answer; what was to be kept is kept.
void AnswerCache::run() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
      if (const auto* kept = std::get_if<std::vector<KeptAnswer>>(&task))
        kept_bytes_ -= bytes_of(*kept);
    }
    if (auto* question = std::get_if<CacheQuestion>(&task))
      answer(std::move(*question));
    else
      put(std::get<std::vector<KeptAnswer>>(task));
  }
}

void AnswerCache::answer(CacheQuestion question) {
  std::vector<LookedUp>& found = question.so_far.found;
  std::vector<RequestKey> keys; // none for what is known, or may not be known
  for (const LookedUp& looked : found) {
    const AskedRequest& request = looked.asked.request;
    const bool wanted = !looked.answer && request.for_others;
    keys.push_back(wanted ? openai::key_in_scope(request.key, question.scope) : RequestKey{});
  }
  auto answers = store_.find(keys, wall_seconds(), slice_bytes);
  tell(answers ? Result<>{} : tl::unexpected{answers.error()});
  const std::size_t next = answers ? answers->size() : found.size();
  for (std::size_t n = 0; answers && n < next; ++n)
    if ((*answers)[n]) found[n].answer = std::move((*answers)[n]);
  // Of the others nobody knows whether they are there.
  const auto first = found.begin() + static_cast<std::ptrdiff_t>(next);
  for (auto looked = first; looked != found.end(); ++looked)
    question.so_far.rest.push_back(std::move(looked->asked));
  found.erase(first, found.end());
  found_(question.job, std::move(question.so_far));
}

void AnswerCache::put(const std::vector<KeptAnswer>& answers) {
  CacheStore::NewAnswers entries;
  for (const KeptAnswer& kept : answers) entries.emplace_back(kept.key, kept.answer);
  tell(store_.put(entries, wall_seconds()));
}

void AnswerCache::tell(const Result<>& done) {
  for (std::string& notice : store_.take_notices()) log_cache("cache.notice", std::move(notice));
  const CacheCounts counts = store_.counts();
  if (counts.unasked_busy + counts.dropped_busy > 0 && !std::exchange(busy_, true))
    log_cache("cache.busy",
              "other processes hold it for long: what it has is called meanwhile, and "
              "what is new is not kept");
  if (!done && !std::exchange(failed_, true)) log_cache("cache.failed", done.error().message);
}

} // namespace gristmill::coordinator
