// What the users bring along: their inputs, the endpoints, the jobs.
#include "protocol/job/tokenizer_id.hpp"
#include "tests/sim/tree.hpp"
#include "tests/sim/world_parts.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sodium.h>

namespace gristmill::sim {
namespace {

using namespace std::chrono_literals;

std::string url_of(std::size_t endpoint) {
  return fmt::format("http://e{}/v1", endpoint);
}

EndpointSpec endpoint_of(std::string url, const RateLimits& limits) {
  EndpointSpec endpoint;
  endpoint.url = std::move(url);
  endpoint.limits.requests_per_minute = limits.requests_per_minute;
  endpoint.limits.tokens_per_minute = limits.tokens_per_minute;
  endpoint.limits.requests_per_day = limits.requests_per_day;
  endpoint.limits.tokens_per_day = limits.tokens_per_day;
  endpoint.limits.max_in_flight = limits.max_in_flight;
  endpoint.limits.strict_tokens = limits.strict_tokens;
  return endpoint;
}

// Whose id no item has.
constexpr std::string_view other_document = "{\"id\":\"other\"}\n";
constexpr std::string_view other_request =
    "{\"custom_id\":\"other\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{}}\n";
constexpr std::uint64_t sample_seed = 7;

// Of the first 64 bits of SHA-256, as a share of all that they could be.
bool is_in_sample(const JobPlan& job, std::uint64_t line) {
  if (job.sample_percent == 100) return true;
  const std::string place = fmt::format("{}:0:{}", sample_seed, line);
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(place.data()),
                     place.size());
  long double share = 0;
  for (int n = 7; n >= 0; --n) share = (share + hash[static_cast<std::size_t>(n)]) / 256;
  return share * 100 < job.sample_percent;
}

} // namespace

// A document whose paragraphs are its chunks.
std::string World::document_of(std::size_t plan, std::uint32_t item) const {
  const JobPlan& job = swarm_.jobs[plan];
  std::string text;
  for (std::uint32_t n = 0; n < job.parts; ++n)
    text += (n == 0 ? "" : "\\n\\n") + paragraph(plan, job.twin_of(item), n);
  return fmt::format(R"({{"id":"i{}","text":"{}"}})", item, text) + "\n";
}

std::string World::line_of(std::size_t plan, std::uint32_t item) {
  const std::uint64_t asked = swarm_.jobs[plan].twin_of(item);
  Random of_twins{plan << 32 ^ asked};
  Random& random = swarm_.jobs[plan].distinct == 0 ? random_ : of_twins;
  const std::uint64_t padding = random.below(swarm_.jobs[plan].text_bytes_max);
  if (swarm_.jobs[plan].embeds())
    return fmt::format("{{\"custom_id\":\"i{0}\",\"method\":\"POST\",\"url\":\"/v1/embeddings\","
                       "\"body\":{{\"model\":\"m\",\"input\":\"text {1} item {4} part 0 "
                       "{2:x>{3}}\"}}}}\n",
                       item, plan, "", padding, asked);
  return fmt::format(
      "{{\"custom_id\":\"i{0}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
      "\"body\":{{\"model\":\"m\",\"max_tokens\":{2},\"messages\":[{{\"role\":"
      "\"user\",\"content\":\"text {1} item {5} part 0 {3:x>{4}}\"}}]}}}}\n",
      item, plan, 20 + random.below(80), "", padding, asked);
}

// Lines that are no items of a job stand between those that are: some say so, and others are not in
// its sample, though they have the id of the item that comes next.
void World::make_inputs() {
  for (std::size_t plan = 0; plan < swarm_.jobs.size(); ++plan) {
    const JobPlan& job = swarm_.jobs[plan];
    Random random{plan << 32 ^ job.items};
    std::string& input = inputs_.emplace_back();
    std::vector<Preprocessed> before;
    std::vector<std::size_t>& begins = item_begins_.emplace_back();
    std::uint64_t line = 0;
    const auto add = [&](std::string text) {
      ++line;
      input += text;
    };
    for (std::uint32_t item = 0; item <= job.items; ++item) {
      Preprocessed dropped = before.empty() ? Preprocessed{} : before.back();
      const bool is_behind = item == job.items;
      const auto wanted = [&] {
        return job.is_chunked() ? document_of(plan, item) : line_of(plan, item);
      };
      for (;;) {
        const bool is_other = random.chance(job.dropped);
        if (is_in_sample(job, line + 1) && (!is_other || is_behind)) break;
        ++(is_other ? dropped.where : dropped.sample);
        add(is_other ? std::string{job.is_chunked() ? other_document : other_request} : wanted());
      }
      before.push_back(dropped);
      begins.push_back(input.size());
      if (!is_behind) add(wanted());
    }
    ledger_.expect(plan, std::move(before));
  }
}

// What an open job begins with, and what is appended then: lines of about equal numbers.
std::string_view World::piece(std::size_t plan, std::size_t number) const {
  const std::string_view all = inputs_[plan];
  const std::size_t pieces = swarm_.jobs[plan].appends + 1;
  const auto lines = static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
  const auto begin_of = [&](std::size_t piece) {
    std::size_t at = 0;
    for (std::size_t line = 0; line < lines * piece / pieces; ++line) at = all.find('\n', at) + 1;
    return at;
  };
  const std::size_t begin = begin_of(number);
  return all.substr(begin, begin_of(number + 1) - begin);
}

// Lines come in pieces, as from a pipe.
std::size_t World::bytes_there(std::size_t plan) const {
  const Duration all = swarm_.jobs[plan].grows_for;
  const Duration gone = std::min<Duration>(now_ - begin_, all);
  return inputs_[plan].size() * static_cast<std::size_t>(gone / 1ms) /
         static_cast<std::size_t>(all / 1ms);
}

void World::feed(std::size_t plan) {
  if (const auto job = ledger_.job_of(plan); job && coordinator_)
    to_coordinator([this, job = *job] {
      if (coordinator_) post({{wiring::Recipient::supervisor, job}, wiring::InputGrew{}});
    });
  if (bytes_there(plan) < inputs_[plan].size()) after(around(300ms), [this, plan] { feed(plan); });
}

void World::make_endpoints() {
  PoolSpec first{"m", swarm_.fallback ? "n" : "", {}, 0, {}};
  for (std::size_t n = 0; n < swarm_.endpoints.size(); ++n) {
    first.endpoints.push_back(endpoint_of(url_of(n), swarm_.endpoints[n]));
    if (swarm_.pages) first.endpoints.back().metrics_url = fmt::format("http://e{}/metrics", n);
    provider_.limit(url_of(n), swarm_.endpoints[n]);
  }
  if (swarm_.serving == Serving::announced) first.endpoints.clear();
  if (swarm_.serving != Serving::own) pools_.push_back(std::move(first));
  if (swarm_.serving != Serving::own && swarm_.fallback)
    pools_.push_back({"n", "", {}, 0, {{"http://n/v1", "", "", 0, 0, 0}}});
  const bool money = std::any_of(swarm_.jobs.begin(), swarm_.jobs.end(),
                                 [](const JobPlan& job) { return bool{job.budget}; });
  if (!money) return;
  if (swarm_.serving == Serving::own)
    for (const char* model : {"m", "n", "m1", "m2", "m3", judge_model.data()})
      pools_.push_back({model, "", {}, 0, {}});
  for (PoolSpec& pool : pools_) pool.price = sim_price;
}

const JobPlan& World::Division::plan_of(JobId job) const {
  return world_.swarm_.jobs[world_.ledger_.plan_of(job).value()];
}

const supervisor::JobParts& World::Division::real(JobId job) const {
  auto& known = jobs_[job];
  if (!known) {
    known = std::make_unique<Job>();
    known->spec = world_.spec_of(world_.ledger_.plan_of(job).value());
    known->parts.emplace(known->spec);
  }
  return *known->parts;
}

supervisor::Division World::Division::division_of(JobId job, const intake::Item& item,
                                                  const bpe::Tokenizer* tokenizer) const {
  const JobPlan& plan = plan_of(job);
  supervisor::Division division = real(job).division_of(job, item, tokenizer);
  if (plan.embeds()) division.parts = plan.parts;
  if (plan.open_most != 0) division.open_most = plan.open_most;
  return division;
}

Result<supervisor::RawPart> World::Division::raw_of(const PartId& part, ItemKind kind,
                                                    const supervisor::DividedItem* divided,
                                                    const ReadItem& read) const {
  if (!plan_of(part.job).embeds()) return real(part.job).raw_of(part, kind, divided, read);
  auto item = read();
  GRISTMILL_TRY(item);
  constexpr std::string_view first = "part 0";
  item->replace(item->find(first), first.size(),
                fmt::format("part {}", PartNumber::of(part.part).index));
  return supervisor::RawPart{kind, std::move(*item)};
}

JobSpec World::spec_of(std::size_t number) const {
  const JobPlan& plan = swarm_.jobs[number];
  JobSpec spec;
  const std::string name = fmt::format("in-{}", number);
  spec.inputs = {{name, name}};
  spec.output = fmt::format("out-{}", number);
  if (swarm_.serving == Serving::own) {
    for (std::size_t n = 0; n < swarm_.endpoints.size(); ++n) {
      std::string url = url_of(n);
      if (swarm_.own_urls) url.insert(url.find("/v1"), fmt::format("-of-{}", number));
      spec.endpoints.push_back(endpoint_of(std::move(url), swarm_.endpoints[n]));
    }
    if (swarm_.fallback) spec.policy.fallback_model = "n";
  }
  if (plan.asks_several() || plan.is_chunked())
    for (std::uint32_t n = 0; n < plan.models; ++n)
      spec.shape.models.push_back(n == 0 ? "m" : fmt::format("m{}", n));
  if (plan.judged) {
    spec.shape.judge_model = judge_model;
    spec.shape.judge_prompt = "{{text}}";
    for (std::uint32_t n = 1; n <= plan.models; ++n)
      spec.shape.judge_prompt += fmt::format(" {{{{answer.{}}}}}", n);
    spec.shape.max_tokens = 50;
  }
  if (plan.is_chunked()) {
    spec.shape.prompt = "{{text}}";
    spec.shape.chunk_tokens = chunk_tokens(plan, number);
    if (plan.counted) {
      spec.shape.tokenizer =
          to_string(TokenizerId{sim_tokenizer()->name(), sim_tokenizer()->hash()});
      spec.tokenizer_file = "ranks";
    }
    if (plan.reduced)
      spec.shape.reduce_prompt = fmt::format("reduce: text {} {{{{answers}}}}", number);
    spec.shape.max_tokens = 50;
  }
  spec.limits.rates.requests_per_minute = plan.limits.requests_per_minute;
  spec.limits.rates.tokens_per_minute = plan.limits.tokens_per_minute;
  spec.limits.rates.max_in_flight = plan.limits.max_in_flight;
  spec.policy.hedge_percent = plan.hedge_percent;
  spec.share.weight = plan.weight;
  spec.share.priority = plan.priority;
  if (plan.deadline != Duration::zero())
    spec.share.deadline =
        static_cast<std::uint64_t>((begin_ + plan.deadline).time_since_epoch() / 1s);
  if (plan.budget) spec.limits.budget = ledger_.cap(number);
  spec.shape.order = plan.by_completion ? ResultOrder::completion : ResultOrder::input;
  spec.policy.retries = plan.retries;
  spec.policy.pack = plan.pack;
  spec.policy.dedupe = plan.distinct > 0;
  spec.open = plan.appends > 0;
  if (plan.drops()) spec.shape.where = {plan.is_chunked() ? "id~^i" : "custom_id!=other"};
  if (plan.sample_percent < 100) {
    spec.shape.sample = Percentage::of(plan.sample_percent).value();
    spec.shape.sample_seed = sample_seed;
  }
  if (plan.checked)
    spec.shape.params = R"({"response_format":{"type":"json_schema","json_schema":{"name":"v",)"
                        R"("schema":{"properties":{"v":{"type":"string"}},"required":["v"]}}}})";
  spec.policy.timeout_ms = 5'000;
  spec.policy.max_failure_percent = 0;
  return spec;
}

} // namespace gristmill::sim
