#include "actors/jobs/explanation.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::jobs {
namespace {

// A time as people say it: "0.4 s", "27 s", "3 min", "3 h 12 min".
std::string span(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", std::max(seconds, 0.0));
  if (seconds < 119.5) return fmt::format("{:.0f} s", seconds);
  const auto minutes = static_cast<std::int64_t>(std::lrint(seconds / 60));
  if (minutes < 120) return fmt::format("{} min", minutes);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string in_span(const Explanation& e, std::string_view before) {
  return e.for_s < 0 ? std::string{} : fmt::format("{}{}", before, span(e.for_s));
}

std::string since_span(const Explanation& e, std::string_view before, std::string_view after) {
  return e.since_s < 0 ? std::string{} : fmt::format("{}{}{}", before, span(e.since_s), after);
}

std::string and_because(const WaitReason& reason) {
  return reason.because.empty() ? std::string{} : "; " + reason.because;
}

// ": HTTP 503 overloaded: try later (12 times, the last 2.0 s ago)", where anything is known.
std::string what_was_met(const Explanation& e) {
  if (!e.known.error) return {};
  const std::uint64_t count = e.known.error->count;
  return fmt::format(
      ": {} ({}{})", said(*e.known.error), count == 1 ? "once" : fmt::format("{} times", count),
      e.known.error_age_s < 0 ? "" : fmt::format(", the last {} ago", span(e.known.error_age_s)));
}

// " (learned; configured: 500)", of a limit that nobody has set.
std::string learned_words(const WaitReason& reason) {
  if (!reason.learned) return {};
  return fmt::format(", learned while calls were made; configured: {}",
                     reason.configured == 0 ? "none" : std::to_string(reason.configured));
}

struct Words {
  std::string sentence, remedy;
};

// Of a window: "requests per minute at URL (60) are used up; the next call may go in 0.4 s".
Words of_window(const Explanation& e, std::string_view what, std::string_view option) {
  const WaitReason& r = e.reason;
  const bool own = r.endpoint.empty();
  return {fmt::format("{} {} ({}{}) are used up{}", what,
                      own ? "of the job itself" : "at " + r.endpoint, r.limit, learned_words(r),
                      in_span(e, "; the next call may go in ")),
          own ? fmt::format("a higher {}", option)
              : fmt::format("a higher limit of the endpoint, if its provider allows more, or "
                            "another endpoint for the model")};
}

Words of_limiter(const Explanation& e) {
  const WaitReason& r = e.reason;
  const std::string where = r.endpoint.empty() ? "of the job itself" : "at " + r.endpoint;
  switch (r.kind) {
  case WaitKind::requests: return of_window(e, "requests per minute", "--rpm");
  case WaitKind::tokens: return of_window(e, "tokens per minute", "--tpm");
  case WaitKind::day_requests: return of_window(e, "requests per day", "limit");
  case WaitKind::day_tokens: return of_window(e, "tokens per day", "limit");
  case WaitKind::calls_allowed:
    return {
        fmt::format("calls in flight {}: all {} that are allowed are being made", where, r.limit),
        fmt::format("a call that ends, or a higher {}",
                    r.endpoint.empty() ? "--max-in-flight" : "max_in_flight of the endpoint")};
  case WaitKind::calls_taken_up:
    return {fmt::format("calls in flight {}: all {} that its server was found to take up are being "
                        "made{}",
                        where, r.limit, learned_words(r)),
            "a call that ends, or another endpoint for the model"};
  case WaitKind::cooldown:
    return {fmt::format("{} gets no calls{}: {}{}{}", r.endpoint, in_span(e, " for "), r.because,
                        r.attempt ? fmt::format(" (the answer to call {}{})", to_string(r.attempt),
                                                since_span(e, ", ", " ago"))
                                  : since_span(e, " (since ", ")"),
                        what_was_met(e)),
            "it goes on by itself; another endpoint for the model would take the calls meanwhile"};
  case WaitKind::breaker:
    return {fmt::format("{}: the endpoint fails{}{}; it is tried again{}", r.endpoint,
                        e.known.failing_s < 0 ? "" : " since " + span(e.known.failing_s),
                        what_was_met(e), in_span(e, " in ")),
            "an endpoint that answers: it goes on by itself"};
  case WaitKind::quota:
    return {fmt::format("{}: the quota or credit of its account is used up{}; it is asked again{}",
                        r.endpoint, what_was_met(e), in_span(e, " in ")),
            "credit at its provider, or another endpoint for the model"};
  case WaitKind::journal:
    return {fmt::format("the journal is being written{}", since_span(e, " since ", "")),
            "a faster disk for the state directory"};
  default: return {r.because + (r.endpoint.empty() ? "" : " (" + r.endpoint + ")"), ""};
  }
}

Words of_rooms(const Explanation& e) {
  const WaitReason& r = e.reason;
  switch (r.kind) {
  case WaitKind::no_worker:
    if (r.limit == 0) return {"no worker is connected", "start a gristmill-worker"};
    return {fmt::format(
                "no worker takes calls: {} connected, all of them drained, silent, idle or away",
                r.limit),
            "start a gristmill-worker; `gristmill workers` shows those that are there"};
  case WaitKind::workers_full:
    return {fmt::format("the workers are full: they have all {} calls that they take at a time",
                        r.limit),
            "more workers, or a higher --concurrency of theirs"};
  case WaitKind::turn:
    return {fmt::format("{}, and {} other job{} first",
                        r.endpoint.empty() ? "the workers are full"
                                           : r.endpoint + " takes no more calls",
                        r.limit, r.limit == 1 ? " goes" : "s go"),
            fmt::format("{}, or a higher --weight or --priority of the job",
                        r.endpoint.empty() ? "more workers" : "another endpoint for the model")};
  case WaitKind::unserved:
    return {r.because, "a [[pool]] of the coordinator, or a worker that announces the model"};
  case WaitKind::claims:
    return {fmt::format("after the restart, items that may have been called wait until the workers "
                        "have said what they hold{}",
                        in_span(e, ", at most for ")),
            "it goes on by itself"};
  case WaitKind::reading: return {r.because, "it goes on by itself"};
  case WaitKind::input:
    return {fmt::format("all that there is of its input is done, and its end has not come{}",
                        since_span(e, "; that is so for ", "")),
            "more of the input, or its end"};
  case WaitKind::retry:
    return {r.limit == 0 ? fmt::format("waits for another attempt{}", in_span(e, ", in "))
                         : fmt::format("all {} open items wait for another attempt{}{}", r.limit,
                                       in_span(e, ", the next one in "), what_was_met(e)),
            fmt::format("it goes on by itself; `gristmill status {}` tells all errors",
                        to_string(e.job))};
  case WaitKind::endpoint:
    return {fmt::format("endpoint {} has answered nothing{}: {}; it is tried again by itself",
                        r.endpoint, since_span(e, " for ", ""), r.because),
            "an endpoint that answers: the job goes on by itself as soon as one does"};
  case WaitKind::same_request:
    return {"waits for the answer to an earlier item that asks the same (--dedupe)",
            "it goes on by itself"};
  case WaitKind::open_items:
    return {fmt::format("{} items are open, the most that are kept: no more are read until some "
                        "are done",
                        r.limit),
            ""};
  default: return {};
  }
}

// Of a job that somebody, or something, has stopped: the command that goes on.
std::string remedy_of_pause(const Explanation& e) {
  const std::string resume = fmt::format("`gristmill resume {}", to_string(e.job));
  switch (e.known.stopped_for) {
  case JobReason::none:
  case JobReason::user: return resume + "`";
  case JobReason::budget: return resume + " --budget-usd USD` with more than it has";
  case JobReason::quota:
    return "credit at its provider: it is asked again by itself, at once with " + resume + "`";
  default: return resume + "`, when that is mended";
  }
}

Words of_whole(const Explanation& e) {
  const WaitReason& r = e.reason;
  const std::string job = to_string(e.job);
  switch (r.kind) {
  case WaitKind::none:
    return {e.known.retrying == 0 ? "nothing waits: calls go as fast as they can"
                                  : "calls go as fast as they can",
            ""};
  case WaitKind::paused: return {"paused: " + r.because, remedy_of_pause(e)};
  case WaitKind::disk: return {r.because, "free some space: it goes on by itself"};
  case WaitKind::cancelling: return {"it is being cancelled; calls in flight may still end", ""};
  case WaitKind::merging: return {"every item is done, the result is being written", ""};
  case WaitKind::over: return {r.because, ""};
  case WaitKind::queued: return {"its call is ready and goes to a worker next", ""};
  case WaitKind::held:
    return {fmt::format("its call is with worker {} and begins next{}", r.worker, and_because(r)),
            ""};
  case WaitKind::in_flight:
    return {fmt::format("in flight at worker {} at {}{}{}{}", r.worker, r.endpoint,
                        since_span(e, " since ", ""),
                        r.attempt ? fmt::format(" (call {})", to_string(r.attempt)) : "",
                        and_because(r)),
            "its answer, or the end of --timeout"};
  case WaitKind::recorded: return {"done: its line, an answer or an error, is recorded", ""};
  case WaitKind::not_read:
    return {"its line has not been read yet: reading stays ahead of the calls by a bounded number "
            "of items",
            "its turn: items are read in the order of the input"};
  case WaitKind::not_open:
    return {"no open item has this id: its line is recorded already, or the job has no such item",
            fmt::format("`gristmill results {} -o FILE`, or --item with its number, tells", job)};
  default: return {};
  }
}

// Nothing keeps the next call from beginning, or nothing but a limit: still some are made again.
std::string and_retries(const Explanation& e) {
  const WaitKind kind = e.reason.kind;
  const bool says_it =
      is_of_endpoint(kind) || kind == WaitKind::endpoint || kind == WaitKind::retry;
  if (e.known.retrying == 0 || says_it || info(kind).sayer == WaitSayer::whole) return {};
  return fmt::format("; {} item{} for another attempt{}", e.known.retrying,
                     e.known.retrying == 1 ? " waits" : "s wait", what_was_met(e));
}

Words words_of(const Explanation& e) {
  const WaitSayer sayer = info(e.reason.kind).sayer;
  if (sayer == WaitSayer::nobody || sayer == WaitSayer::whole) return of_whole(e);
  return sayer == WaitSayer::limiter ? of_limiter(e) : of_rooms(e);
}

Circumstances circumstances_of(const JobEntry& job, const WaitReason& reason, MetError at_endpoint,
                               std::int64_t unix_now) {
  Circumstances known;
  if (job.state == JobState::paused) known.stopped_for = job.reason;
  if (is_of_endpoint(reason.kind)) {
    static_cast<MetError&>(known) = std::move(at_endpoint);
  } else if (const CountedError* late = job.errors ? of_late(*job.errors) : nullptr) {
    known.error = *late;
    known.error_age_s = static_cast<double>(unix_now - late->at);
  }
  return known;
}

} // namespace

std::string how_texts_travel(const std::string& why_by_value) {
  if (why_by_value.empty()) return "; its texts go by reference (--shared)";
  return fmt::format("; its texts go by value in spite of --shared: {}", why_by_value);
}

bool is_waiting(WaitKind kind, std::uint64_t in_flight) {
  const bool at_once = kind == WaitKind::calls_allowed || kind == WaitKind::calls_taken_up ||
                       kind == WaitKind::workers_full;
  if (at_once && in_flight > 0) return false;
  return info(kind).sayer != WaitSayer::nobody && info(kind).sayer != WaitSayer::whole;
}

bool is_of_endpoint(WaitKind kind) {
  return kind == WaitKind::cooldown || kind == WaitKind::breaker || kind == WaitKind::quota;
}

WaitReason why_waiting(const JobEntry& job, const std::string& disk, const WaitReason& supervisor,
                       const WaitReason& coordinator) {
  WaitReason whole;
  whole.because = job.detail;
  if (is_over(job.state)) {
    whole.kind = WaitKind::over;
    whole.because = fmt::format("the job is {}{}", name_of(job.state),
                                job.detail.empty() ? "" : ": " + job.detail);
    return whole;
  }
  if (job.state == JobState::paused) whole.kind = WaitKind::paused;
  if (!disk.empty() && job.state != JobState::paused) {
    whole.kind = WaitKind::disk;
    whole.because = disk;
  } else if (job.state == JobState::cancelling) {
    whole.kind = WaitKind::cancelling;
  } else if (job.state == JobState::merging) {
    whole.kind = WaitKind::merging;
  }
  if (whole) return whole;
  const auto first = [&](WaitKind kind) { return coordinator.kind == kind; };
  if (first(WaitKind::no_worker) || first(WaitKind::unserved)) return coordinator;
  if (supervisor.kind == WaitKind::endpoint) return supervisor;
  // Where nothing is ready, what was last said to another call does not matter.
  if (supervisor.kind == WaitKind::reading || supervisor.kind == WaitKind::retry ||
      supervisor.kind == WaitKind::input)
    return supervisor;
  return coordinator ? coordinator : supervisor;
}

// What holds the whole job holds each of its items that is not done or being called.
WaitReason why_item_waits(WaitReason item, WaitReason job) {
  const bool own = item.kind == WaitKind::in_flight || item.kind == WaitKind::recorded ||
                   item.kind == WaitKind::not_open || !job || is_waiting(job.kind);
  return own ? std::move(item) : std::move(job);
}

Explanation explained(JobId job, WaitReason reason, Time now, Circumstances known) {
  Explanation e;
  e.job = job;
  e.reason = std::move(reason);
  e.known = std::move(known);
  if (e.reason.until != never) e.for_s = std::max(to_seconds(e.reason.until - now), 0.0);
  if (e.reason.since != Time{}) e.since_s = std::max(to_seconds(now - e.reason.since), 0.0);
  Words words = words_of(e);
  e.sentence = std::move(words.sentence) + and_retries(e);
  e.remedy = std::move(words.remedy);
  return e;
}

Explanation explained(const JobEntry& job, WaitReason reason, MetError at_endpoint,
                      const Moment& moment) {
  Circumstances known = circumstances_of(job, reason, std::move(at_endpoint), moment.unix_seconds);
  known.retrying = job.counts.retrying;
  return explained(job.id, std::move(reason), moment.now, std::move(known));
}

Explanation explained_item(const JobEntry& job, WaitReason reason, MetError at_endpoint,
                           const Moment& moment) {
  Circumstances known = circumstances_of(job, reason, std::move(at_endpoint), moment.unix_seconds);
  return explained(job.id, std::move(reason), moment.now, std::move(known));
}

} // namespace gristmill::jobs
