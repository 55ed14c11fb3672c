// The workers' processes in the simulator, and the way of their calls to the endpoints.
#include "protocol/job/usd.hpp"
#include "tests/sim/world_parts.hpp"

#include "actors/kit/defaults.hpp"

#include <algorithm>

namespace gristmill::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string_view name_of(worker::CallEnd end) {
  static constexpr std::string_view names[]{"answered",  "failed",   "timed out",
                                            "unstarted", "too late", "aborted"};
  return names[static_cast<std::size_t>(end)];
}

} // namespace

void World::start_worker(std::size_t index) {
  worker::Options options;
  options.name = fmt::format("w{}", index);
  options.process = Nonce{next_process_};
  options.capacity = {swarm_.concurrency, swarm_.capacity_bytes};
  options.drain_timeout = seconds{25};
  options.ask_ahead = swarm_.ask_ahead;
  options.outcomes_wait_most = swarm_.outcomes_wait_most;
  if (swarm_.serving == Serving::announced)
    options.endpoints = {{"m", {fmt::format("http://gpu{}/v1", index), "", "", 0, 0, 0}}};
  for (auto& announced : options.endpoints)
    if (swarm_.pages) announced.endpoint.metrics_url = fmt::format("http://gpu{}/metrics", index);
  const Time partitioned_until = workers_[index] ? workers_[index]->partitioned_until : Time{};
  workers_[index] = std::make_unique<WorkerProcess>();
  WorkerProcess& worker = *workers_[index];
  worker.process = next_process_++;
  worker.partitioned_until = partitioned_until;
  worker.worker = std::make_unique<worker::Worker>(std::move(options));
  // In a quiet history every worker is as slow as a clock may be.
  const std::int64_t off = swarm_.edge ? -999'000 : swarm_.worker_ppb;
  worker.clock = LocalClock{now_, Time{upto(seconds{100'000})}, off};
  trace("w{} starts", index);
  connect(index);
}

// Its calls and its outbox are gone; what has left it arrives.
void World::end_worker(std::size_t index, bool silently) {
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive) return;
  worker.alive = false;
  for (const auto& [attempt, running] : worker.running) forget_flight(*running);
  ledger_.process_ended(worker.process);
  // A machine that loses its power says nothing to anybody.
  if (worker.connection && !silently) worker.connection->open = false;
}

void World::forget_flight(Running& running) {
  if (std::exchange(running.counted, false)) provider_.over(running.request);
}

void World::drain_worker(std::size_t index) {
  to_worker(index, [this, index](WorkerProcess& worker) {
    trace("w{} is told to stop", index);
    carry_out(index, worker.worker->drain(worker.clock.at(now_)));
  });
}

// A worker's process hears of the world only while it runs; a stopped one hears all of it later.
void World::to_worker(std::size_t index, std::function<void(WorkerProcess&)> what) {
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive) return;
  if (now_ >= worker.paused_until && worker.unheard.empty()) return what(worker);
  worker.unheard.push_back(std::move(what));
  if (worker.unheard.size() == 1) wake_worker(index);
}

void World::wake_worker(std::size_t index) {
  at(std::max(now_, workers_[index]->paused_until),
     [this, index, process = workers_[index]->process] {
       WorkerProcess& worker = *workers_[index];
       if (worker.process != process) return;
       while (worker.alive && now_ >= worker.paused_until && !worker.unheard.empty()) {
         const auto what = std::move(worker.unheard.front());
         what(worker);
         worker.unheard.pop_front();
       }
       if (worker.alive && !worker.unheard.empty()) wake_worker(index);
     });
}

void World::carry_out(std::size_t index, worker::Effects effects) {
  WorkerProcess& worker = *workers_[index];
  for (const auto& event : effects.events) {
    std::string line{event.name};
    for (const auto& [name, value] : event.fields) line += fmt::format(" {}={}", name, value);
    trace("w{} {}", index, line);
    if (event.name == "frame.bad" || event.name == "frame.violation" ||
        event.name == "job.unreadable" || event.name == "permit.unusable")
      violation(fmt::format("w{} {}", index, line));
    if (event.name == "frame.gap" && worker.connection->lost == 0)
      violation(fmt::format("w{} sees a gap, no frame was lost: {}", index, line));
  }
  if (!effects.refused.empty()) violation("worker refused: " + effects.refused);
  for (auto& frame : effects.frames) {
    worker.permits.said(frame, worker.clock.at(now_));
    send_to_coordinator(index, std::move(frame));
  }
  for (auto& call : effects.starts) begin_call(index, std::move(call));
  for (const AttemptId attempt : effects.aborts) abort_call(index, attempt);
  for (const auto& page : effects.reads) read_page(index, page);
  if (effects.finished) {
    trace("w{} has ended in peace", index);
    // Its last words are on their way, unless nothing had left any more.
    const bool says_them =
        worker.connection && worker.connection->open && worker.connection->life == life_;
    end_worker(index, false);
    if (says_them) worker.connection->lingers = true;
    after(upto(seconds{3}), [this, index, process = worker.process] {
      if (workers_[index]->process == process) start_worker(index);
    });
    return;
  }
  const Time local = worker.worker->wake_at();
  worker.alarm.wanted = local == never ? never : std::max(worker.clock.truth_of(local), now_);
  if (worker.alarm.wanted < worker.alarm.set) ring_worker_at(index, worker.alarm.wanted);
}

void World::ring_worker_at(std::size_t index, Time when) {
  workers_[index]->alarm.set = when;
  at(when, [this, index, when, process = workers_[index]->process] {
    if (workers_[index]->process != process) return;
    to_worker(index, [this, index, when](WorkerProcess& awake) {
      if (awake.alarm.set != when) return; // an earlier one has taken its place
      awake.alarm.set = never;
      if (awake.alarm.wanted <= now_)
        carry_out(index, awake.worker->tick(awake.clock.at(now_)));
      else if (awake.alarm.wanted != never)
        ring_worker_at(index, awake.alarm.wanted);
    });
  });
}

// The way of a call: begun, past the gate, at the endpoint, ended.

void World::begin_call(std::size_t index, worker::HttpCall call) {
  WorkerProcess& worker = *workers_[index];
  auto running = std::make_shared<Running>();
  running->request = request_of(call, swarm_);
  if (!running->request.sees_all) violation("a step does not see just the answers that it joins");
  running->process = worker.process;
  running->worker = index;
  const Time last = worker.clock.truth_of(call.not_after);
  const AttemptId attempt = call.attempt;
  running->call = std::move(call);
  // Most calls leave at once, some only when their permit is about to die.
  Duration delay =
      swarm_.send_delay + (random_.chance(0.1) ? upto(milliseconds{400}) : around(milliseconds{2}));
  if (swarm_.edge) delay = Duration::zero();
  if (swarm_.edge && last != never && random_.chance(0.5))
    delay = last - upto(milliseconds{2}) - now_;
  if (luck(swarm_.stuck)) delay = upto(seconds{8});
  if (luck(swarm_.pause_at_edge)) {
    const Time until = last != never && random_.chance(0.5)
                           ? last + random_.between(milliseconds{-2}, milliseconds{300})
                           : now_ + upto(seconds{8});
    worker.paused_until = std::max(worker.paused_until, until);
  }
  worker.running.try_emplace(attempt, running);
  after(std::max(delay, Duration::zero()), [this, index, running] {
    if (workers_[index]->process != running->process) return;
    to_worker(index, [this, index, running](WorkerProcess&) { leave(index, running); });
  });
}

void World::leave(std::size_t index, const std::shared_ptr<Running>& running) {
  WorkerProcess& worker = *workers_[index];
  if (worker.hangs) return;
  const bool late = worker.clock.at(now_) >= running->call.not_after;
  if (late || running->aborted) {
    worker::CallEnded ended;
    ended.attempt = running->call.attempt;
    ended.end = late ? worker::CallEnd::too_late : worker::CallEnd::unstarted;
    return end_call(index, running->call.attempt, std::move(ended));
  }
  if (const auto why = worker.permits.why_not(running->call.attempt, worker.clock.at(now_));
      !why.empty())
    violation(
        fmt::format("call {} leaves w{}, but {}", to_string(running->call.attempt), index, why));
  running->left = true;
  running->counted = !worker.outlaw;
  ledger_.sent({running->call.attempt, running->request.plan, index, running->request.parts,
                running->process});
  if (running->counted) provider_.departs(running->request, exact_);
  users_[running->request.plan].fed_at = now_;
  // The spread between sending and arrival, up to the margin that a hold leaves for it.
  Duration travels = std::min<Duration>(around(milliseconds{5}), milliseconds{249});
  if (swarm_.edge)
    travels = random_.chance(0.5) ? Duration::zero()
                                  : defaults::delay_margin - upto(milliseconds{2}) - Duration{1};
  after(travels, [this, running] { arrive(running); });
}

void World::arrive(const std::shared_ptr<Running>& running) {
  Fate fate = provider_.fate_of(running->request, healed_, now_ - begin_, random_);
  provider_.arrived(running->request, fate.tokens, now_);
  // What the model has answered is paid, whether anybody hears of it or not.
  if (fate.ended.http_status == 200 || fate.ended.end == worker::CallEnd::timed_out)
    ledger_.paid(running->request.plan, Usd::from_nano(fate.tokens * sim_price.input / 1'000));
  fate.ended.attempt = running->call.attempt;
  if (fate.ended.end == worker::CallEnd::timed_out || fate.latency >= running->call.timeout) {
    fate.ended = {};
    fate.ended.attempt = running->call.attempt;
    fate.ended.end = worker::CallEnd::timed_out;
    fate.ended.code = "timeout";
    fate.latency = running->call.timeout;
    fate.price = Ledger::Price::retry;
  }
  fate.ended.latency_us = static_cast<std::uint64_t>(fate.latency.count() / 1'000);
  running->price = fate.price;
  running->ok = fate.ended.http_status == 200 && fate.fits;
  running->repaired_in_vain =
      fate.ended.http_status == 200 && !fate.fits && running->request.repairs;
  const Request& request = running->request;
  trace("call {} plan {} item {} ({} parts) by w{}: {} {} after {} ms",
        to_string(running->call.attempt), request.plan, request.parts.at(0).item,
        request.parts.size(), running->worker, name_of(fate.ended.end), fate.ended.http_status,
        to_ms(fate.latency));
  after(fate.latency, [this, running, ended = std::move(fate.ended)] {
    if (workers_[running->worker]->process == running->process)
      end_call(running->worker, running->call.attempt, ended);
  });
}

void World::end_call(std::size_t index, AttemptId attempt, worker::CallEnded ended) {
  to_worker(index, [this, index, attempt, ended](WorkerProcess& worker) {
    const auto running = worker.running.find(attempt);
    if (worker.hangs || running == worker.running.end()) return; // … or aborted meanwhile
    if (running->second->left) {
      forget_flight(*running->second);
      if (running->second->ok && ended.end == worker::CallEnd::answered) {
        ledger_.answered(attempt);
        provider_.answered(running->second->request);
      } else {
        if (running->second->repaired_in_vain) repaired_in_vain(running->second->request);
        ledger_.failed(attempt, running->second->price);
      }
    }
    worker.running.erase(running);
    std::vector<worker::CallEnded> one{ended};
    carry_out(index,
              worker.worker->ended(std::move(one), moment().unix_seconds, worker.clock.at(now_)));
    check_worker(index);
  });
}

// Of an answer one repair is asked for; a second one only by who has not heard of the first.
void World::repaired_in_vain(const Request& request) {
  const std::uint64_t losses = verdict_.worker_crashes + verdict_.coordinator_crashes +
                               verdict_.room_crashes + verdict_.cuts;
  const JobPlan& job = swarm_.jobs[request.plan];
  // What asks the same and comes when that has failed is asked anew.
  if (job.distinct > 0 && (job.appends > 0 || grows(request.plan))) return;
  const bool hedges = job.hedge_percent > 0, is_retried = job.retries_failed;
  const PartId& part = request.parts.at(0);
  const std::uint64_t times = ++vain_repairs_[{request.plan, part.item}];
  if (times > 1ull + losses + hedges + is_retried)
    violation(fmt::format("the answer of item {} of plan {} was repaired {} times in vain",
                          part.item, request.plan, times));
}

void World::abort_call(std::size_t index, AttemptId attempt) {
  WorkerProcess& worker = *workers_[index];
  const auto running = worker.running.find(attempt);
  if (running == worker.running.end()) return;
  running->second->aborted = true;
  if (!running->second->left) return; // it ends at the gate
  running->second->price = Ledger::Price::nothing;
  worker::CallEnded ended;
  ended.attempt = attempt;
  ended.end = worker::CallEnd::aborted;
  ended.code = "aborted";
  after(Duration::zero(), [this, index, attempt, process = worker.process, ended] {
    if (workers_[index]->process == process) end_call(index, attempt, ended);
  });
}

// A server may say anything of its queue, or nothing.
void World::read_page(std::size_t index, const worker::PageRead& read) {
  WorkerProcess& reader = *workers_[index];
  if (!reader.pages.insert(read.endpoint).second)
    violation(fmt::format("w{} reads a page twice at a time: {}", index, read.url));
  worker::PageEnded page{read.endpoint, 200, {}, {}};
  Duration takes = around(milliseconds{5});
  if (random_.chance(0.1)) {
    page.http_status = 404;
  } else if (random_.chance(0.1)) {
    page.http_status = 0;
    page.message = "took too long";
    takes = read.timeout;
  } else {
    page.body = fmt::format("tgi_queue_size {}\ntgi_batch_current_size {}\n",
                            random_.chance(0.5) ? 0 : random_.below(20), random_.below(10));
  }
  after(takes, [this, index, page, process = reader.process] {
    if (workers_[index]->process != process) return;
    to_worker(index, [this, index, page](WorkerProcess& worker) {
      worker.pages.erase(page.endpoint);
      carry_out(index, worker.worker->read({page}, worker.clock.at(now_)));
    });
  });
}

// What it has in hand is bounded by what it said it could have.
void World::check_worker(std::size_t index) {
  const WorkerProcess& worker = *workers_[index];
  if (!worker.alive) return;
  if (worker.worker->in_flight() > swarm_.concurrency)
    violation(fmt::format("w{} makes {} calls at a time, {} are its most", index,
                          worker.worker->in_flight(), swarm_.concurrency));
  // A call whose permit ended comes back into a hand that has been filled up meanwhile; and one
  // call, of several parts perhaps, may be more than a hand takes.
  std::uint64_t most = 2 * swarm_.capacity_bytes;
  for (const JobPlan& job : swarm_.jobs)
    if (job.pack > 1)
      most = std::max<std::uint64_t>(most, 2ull * job.pack * (job.text_bytes_max + 400));
  if (worker.worker->held() > 1 && worker.worker->held_bytes() > most)
    violation(fmt::format("w{} holds {} bytes in {} calls, {} are its most", index,
                          worker.worker->held_bytes(), worker.worker->held(), most));
}

} // namespace gristmill::sim
