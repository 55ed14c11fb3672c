// RATE LIMITER and JOURNAL: one of each in a node.
#include "actors/wiring/rooms.hpp"

#include "actors/journal/passing.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::wiring {

LimiterRoom::LimiterRoom(journal::Recovered recovered, Time now, std::vector<PoolSpec> pools,
                         Duration day, std::uint64_t first_block)
    : limiter_{recovered.epoch, std::move(pools), day, first_block} {
  limiter_.recovered(recovered.blocks, now, recovered.same_boot);
  limiter_.days_recovered(std::move(recovered.days));
  limiter_.concurrency_recovered(recovered.concurrency);
}

void LimiterRoom::handle(Message message, const Moment& moment, Post& post) {
  const Time now =
      mutated("wall_clock_window") ? Time{std::chrono::seconds{moment.unix_seconds}} : moment.now;
  if (auto* news = std::get_if<LimiterNews>(&message)) on(*news, now, post);
  if (auto* show = std::get_if<ShowPools>(&message)) {
    for (auto& pool : show->pools)
      for (auto& endpoint : pool.endpoints)
        endpoint.standing = limiter_.standing(endpoint.id, moment.now);
    Answer answer{show->token, {}, {}, {}, std::move(show->pools), {}};
    post.tell(to_client, std::move(answer));
  }
  if (const auto* durable = std::get_if<BlocksDurable>(&message)) {
    limiter_.written(now);
    for (const std::uint64_t number : durable->blocks) limiter_.durable(number);
  }
  if (std::holds_alternative<Tick>(message)) write_blocks(now, post);
  post.wake_at = limiter_.wake_at();
}

void LimiterRoom::on(LimiterNews& news, Time now, Post& post) {
  for (const auto& endpoint : news.endpoints_added) limiter_.endpoint_added(endpoint, now);
  for (const auto& endpoint : news.endpoints_gone) limiter_.endpoint_gone(endpoint, now);
  for (const auto& job : news.jobs_opened) limiter_.job_opened(job, now);
  for (const auto& [job, limits] : news.jobs_changed) limiter_.job_changed(job, limits, now);
  for (const auto& [job, share] : news.shares_changed) limiter_.share_changed(job, share);
  for (const auto& job : news.jobs_closed) limiter_.job_closed(job);
  for (const auto& claim : news.claimed) limiter_.claimed(claim);
  for (const auto& end : news.ended) limiter_.ended(end, now);
  for (const auto& job : news.jobs_resumed) limiter_.job_resumed(job);
  for (const auto& queue : news.queues) limiter_.queue_told(queue, now);
  tell_packs(now, post);
  if (news.earlier_lives_told) limiter_.earlier_lives_told(*news.earlier_lives_told);
  for (const auto& acquire : news.acquires)
    post.tell(to_coordinator, limiter_.acquire(acquire, now));
  tell_packs(now, post);
  write_blocks(now, post);
}

void LimiterRoom::tell_packs(Time now, Post& post) {
  if (auto news = limiter_.pack_news(now); !news.empty())
    post.tell(to_coordinator, PacksTold{std::move(news)});
}

void LimiterRoom::write_blocks(Time now, Post& post) {
  auto blocks = limiter_.reserve(now);
  auto marks = limiter_.reserve_marks(now);
  auto money = limiter_.reserve_money(now);
  auto days = limiter_.day_notes(now);
  if (limiter_.numbers_are_used_up())
    post.fatal =
        Error{ErrorCode::used_up, "this coordinator has given out all attempt numbers of "
                                  "its life: start it again, and it goes on with new ones"};
  auto concurrency = limiter_.concurrency_notes();
  if (blocks.empty() && marks.notes.empty() && money.empty() && days.empty() && concurrency.empty())
    return;
  BlocksDurable durable;
  for (const auto& block : blocks) durable.blocks.push_back(block.block);
  if (!marks.notes.empty()) durable.blocks.push_back(marks.number);
  for (const auto& note : money) durable.blocks.push_back(note.number);
  limiter_.handed_over(now);
  AppendNow append;
  append.part.blocks = std::move(blocks);
  append.part.marks = std::move(marks.notes);
  append.part.days = std::move(days);
  append.part.money = std::move(money);
  append.part.learned = limiter_.learned_notes();
  append.part.concurrency = std::move(concurrency);
  (mutated("grant_not_journaled") ? post.envelopes : append.release)
      .push_back({to_limiter, std::move(durable)});
  post.tell(to_journal, std::move(append));
}

void JournalRoom::handle(Message message, const Moment& moment, Post& post) {
  if (auto* append = std::get_if<AppendNow>(&message))
    commits_.append(std::move(append->part), std::move(append->release));
  if (std::holds_alternative<StoreDurable>(message)) {
    if (std::exchange(full_, false)) post.tell(to_coordinator, DiskFull{});
    for (Envelope& envelope : commits_.durable()) post.envelopes.push_back(std::move(envelope));
  }
  if (auto* failed = std::get_if<StoreFailed>(&message)) refused(*failed, moment.now, post);
  if (refused_ && moment.now >= again_at_)
    post.tell(to_store, *std::exchange(refused_, std::nullopt));
  else if (auto group = commits_.next(moment.now))
    post.tell(to_store, std::move(*group));
  post.wake_at = refused_ ? again_at_ : commits_.next_at();
}

// Nothing waits for a full disk but what must be durable, and nothing of that is lost: no block is
// drawn from, no outcome acknowledged, and the workers keep what they have.
void JournalRoom::refused(StoreFailed& failed, Time now, Post& post) {
  if (!journal::passes(failed.error.code)) {
    post.fatal = std::move(failed.error);
    return;
  }
  if (!std::exchange(full_, true)) {
    const bool space = failed.error.code == ErrorCode::disk_full;
    post.events.push_back({space ? "journal.disk_full" : "journal.no_descriptor",
                           {{"why", failed.error.message}},
                           true});
    post.tell(to_coordinator, DiskFull{std::move(failed.error.message)});
  }
  refused_ = std::move(failed.group);
  again_at_ = now + full_disk_again_after;
}

} // namespace gristmill::wiring
