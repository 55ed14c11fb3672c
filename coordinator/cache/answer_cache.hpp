// ANSWER CACHE: the window to answers that outlive jobs and nodes. A thread of its own has the
// store (cache_store.hpp), so that no room waits for a disk or for another process. Invariant: what
// the cache cannot do costs a call and never stops a job.
#pragma once

#include "actors/words/look_up.hpp"
#include "coordinator/cache/cache_store.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace gristmill::coordinator {

// Answers to look for, beside those that are known already.
struct CacheQuestion {
  JobId job;
  LookedUpAnswers so_far;
  std::string scope; // as of cache_scope()
};

class AnswerCache {
public:
  using Found = std::function<void(JobId, LookedUpAnswers)>; // on the cache's thread

  // The errors of CacheStore::open.
  static Result<std::unique_ptr<AnswerCache>> open(const std::string& directory,
                                                   std::uint64_t bytes_max, Found found);
  ~AnswerCache(); // keeps what it was given

  // Any thread.
  void find(CacheQuestion question);
  void keep(std::vector<KeptAnswer> answers);

private:
  using Task = std::variant<CacheQuestion, std::vector<KeptAnswer>>;
  AnswerCache(CacheStore store, Found found);
  void run();
  void answer(CacheQuestion question);
  void put(const std::vector<KeptAnswer>& answers);
  void tell(const Result<>& done);

  CacheStore store_;
  Found found_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  std::size_t kept_bytes_ = 0;                           // that wait
  std::uint64_t dropped_ = 0;                            // answers that came while too many waited
  bool closing_ = false, failed_ = false, busy_ = false; // these two have been said
  std::thread thread_;
};

} // namespace gristmill::coordinator
