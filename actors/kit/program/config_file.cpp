#include "actors/kit/program/config_file.hpp"

#include "protocol/job/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <sstream>
#include <toml++/toml.h>

namespace gristmill {
namespace {

using Kind = ConfigValue::Kind;

constexpr std::uint64_t rate_max = 1'000'000'000'000; // requests or tokens per minute
constexpr std::uint64_t slots_max = 10'000'000;
constexpr std::uint64_t answer_tokens_max = 1'000'000'000;
constexpr double price_max = 100'000; // US$ for 1M tokens
constexpr double price_unit = 1e6;
constexpr std::size_t key_file_bytes_max = 4'096;
// A worker is told of all of them in one frame.
static_assert(limits::pool_endpoints_max * (key_file_bytes_max + 4 * limits::name_bytes_max) +
                  limits::spec_bytes_max <
              limits::frame_bytes_max);

ConfigPlace place_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

ConfigValue value_of(const toml::node& node) {
  ConfigValue value;
  value.at = place_of(node.source());
  if (const auto* text = node.as_string()) {
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value = {Kind::integer, std::to_string(integer->get()), value.at};
  } else if (const auto* real = node.as_floating_point()) {
    value = {Kind::real, fmt::format("{}", real->get()), value.at};
  } else if (const auto* boolean = node.as_boolean()) {
    value = {Kind::boolean, boolean->get() ? "true" : "false", value.at};
  } else {
    const std::string_view name = node.is_table()   ? "a table"
                                  : node.is_array() ? "an array"
                                                    : "a date or a time";
    value = {Kind::other, std::string{name}, value.at};
  }
  return value;
}

struct Member {
  std::string_view key;
  ConfigPlace at;
  const toml::node* node;
};

// In the order of the file, so that its first fault is the one that is told.
std::vector<Member> members_of(const toml::table& table) {
  std::vector<Member> members;
  for (const auto& [key, node] : table)
    members.push_back({key.str(), place_of(key.source()), &node});
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.at < b.at; });
  return members;
}

// Reads one document; the first fault stops it.
class Reader {
public:
  explicit Reader(ConfigFile& file) : file_{file} {}
  std::optional<Error> fault;

  void read(const toml::table& document) {
    for (const Member& member : members_of(document)) {
      if (fault) return;
      if (member.key == "pool") {
        pools(member);
      } else {
        entry(member);
      }
    }
  }

private:
  // A key of a table and what its value becomes.
  template <class Spec> struct Key {
    std::string_view name;
    void (Reader::*read)(const Member&, Spec&);
  };

  void say(ConfigPlace at, std::string_view sentence) {
    if (!fault) fault = config_fault(file_.path, at, sentence).value();
  }
  void expected(const Member& member, std::string_view what) {
    const ConfigValue value = value_of(*member.node);
    say(value.at, fmt::format("{}: expected {}, got {}", member.key, what, shown(value)));
  }

  void entry(const Member& member) {
    ConfigEntry entry{std::string{member.key}, member.at, false, {}};
    if (const auto* list = member.node->as_array(); list != nullptr) {
      entry.is_list = true;
      for (const toml::node& element : *list) entry.values.push_back(value_of(element));
    } else {
      entry.values.push_back(value_of(*member.node));
    }
    file_.entries.push_back(std::move(entry));
  }

  // Each of an array of tables, as [[name]] makes it.
  template <class Use> void each_table(const Member& member, std::string_view name, Use use) {
    const auto* tables = member.node->as_array();
    if (tables == nullptr) return expected(member, fmt::format("tables under [[{}]]", name));
    for (const toml::node& element : *tables) {
      if (fault) return;
      const auto* table = element.as_table();
      if (table == nullptr)
        return expected({member.key, member.at, &element},
                        fmt::format("tables under [[{}]]", name));
      use(*table);
    }
  }

  template <class Spec, class Keys>
  void read_table(const toml::table& table, std::string_view name, const Keys& keys, Spec& into) {
    for (const Member& member : members_of(table)) {
      if (fault) return;
      const auto key = std::find_if(std::begin(keys), std::end(keys),
                                    [&](const auto& known) { return known.name == member.key; });
      if (key != std::end(keys)) {
        (this->*key->read)(member, into);
        continue;
      }
      std::vector<std::string_view> known;
      for (const auto& k : keys) known.push_back(k.name);
      say(member.at, fmt::format("expected a key of [[{}]], got \"{}\"; did you mean {}?", name,
                                 json::printable(member.key, 100), nearest_key(member.key, known)));
    }
  }

  void pools(const Member& member) {
    each_table(member, "pool", [&](const toml::table& table) {
      const ConfigPlace at = place_of(table.source());
      if (file_.pools.empty()) file_.first_pool = at;
      PoolSpec pool;
      read_table<PoolSpec>(table, "pool", pool_keys, pool);
      if (pool.model.empty()) say(at, "[[pool]]: expected a model, got none");
      if (pool.fallback == pool.model)
        say(at, fmt::format("fallback: expected another model than the pool's, got \"{}\"",
                            pool.fallback));
      if (pool_of(file_.pools, pool.model) != nullptr)
        say(at, fmt::format("[[pool]]: expected one pool for a model, got a second one for \"{}\"; "
                            "give the first one more [[pool.endpoint]]s",
                            pool.model));
      if (file_.pools.size() == limits::pools_max)
        say(at, fmt::format("[[pool]]: expected at most {}, got more", limits::pools_max));
      file_.pools.push_back(std::move(pool));
    });
  }

  void endpoints(const Member& member, PoolSpec& pool) {
    each_table(member, "pool.endpoint", [&](const toml::table& table) {
      const ConfigPlace at = place_of(table.source());
      EndpointSpec endpoint;
      endpoint.metrics_url = metrics_found;
      read_table<EndpointSpec>(table, "pool.endpoint", endpoint_keys(), endpoint);
      if (endpoint.url.empty()) say(at, "[[pool.endpoint]]: expected a url, got none");
      if (!endpoint.api_key_env.empty() && !endpoint.api_key_file.empty())
        say(at, "[[pool.endpoint]]: expected api_key_env or api_key_file, got both");
      const auto same = [&](const EndpointSpec& other) {
        return other.url == endpoint.url && other.api_key_env == endpoint.api_key_env &&
               other.api_key_file == endpoint.api_key_file;
      };
      if (std::any_of(pool.endpoints.begin(), pool.endpoints.end(), same))
        say(at, fmt::format("[[pool.endpoint]]: expected each URL and key once in a pool, got {} "
                            "twice",
                            endpoint.url));
      if (++endpoint_count_ > limits::pool_endpoints_max)
        say(at, fmt::format("[[pool.endpoint]]: expected at most {} in all, got more",
                            limits::pool_endpoints_max));
      pool.endpoints.push_back(std::move(endpoint));
    });
  }

  std::string text(const Member& member, std::string_view what, std::size_t bytes_max) {
    const auto* given = member.node->as_string();
    if (given == nullptr || given->get().empty()) {
      expected(member, what);
      return {};
    }
    if (given->get().size() > bytes_max)
      say(place_of(member.node->source()), fmt::format("{}: expected at most {} bytes, got {}",
                                                       member.key, bytes_max, given->get().size()));
    return given->get();
  }

  std::uint64_t number(const Member& member, std::uint64_t most) {
    const auto* given = member.node->as_integer();
    if (given != nullptr && given->get() >= 1 && static_cast<std::uint64_t>(given->get()) <= most)
      return static_cast<std::uint64_t>(given->get());
    expected(member, fmt::format("an integer from 1 to {} (leave it out for no limit)", most));
    return 0;
  }

  std::uint64_t price(const Member& member) {
    const auto given = member.node->value<double>(); // of integers too
    if (given && *given >= 0 && *given <= price_max)
      return static_cast<std::uint64_t>(std::llround(*given * price_unit));
    expected(member, fmt::format("US$ for 1M tokens, a number from 0 to {}", price_max));
    return 0;
  }

  void model(const Member& m, PoolSpec& pool) {
    pool.model = text(m, "the name of a model", limits::name_bytes_max);
  }
  void fallback(const Member& m, PoolSpec& pool) {
    pool.fallback = text(m, "the name of a model", limits::name_bytes_max);
  }
  void price_input(const Member& m, PoolSpec& pool) { pool.price.input = price(m); }
  void price_output(const Member& m, PoolSpec& pool) { pool.price.output = price(m); }
  void max_output_tokens(const Member& m, PoolSpec& pool) {
    pool.max_output_tokens = number(m, answer_tokens_max);
  }

  void prefix_affinity(const Member& m, PoolSpec& pool) {
    const auto* given = m.node->as_boolean();
    if (given == nullptr) return expected(m, "true or false");
    pool.prefix_affinity = given->get();
  }

  void url(const Member& m, EndpointSpec& endpoint) {
    endpoint.url = without_trailing_slash(text(m, "a base URL", limits::name_bytes_max));
    if (fault) return;
    if (const auto wrong = fault_of_url(endpoint.url); !wrong.empty())
      say(place_of(m.node->source()),
          fmt::format("url: expected {}, got \"{}\"", wrong,
                      json::printable(without_credentials(endpoint.url), 100)));
  }
  // As it is written: a page may be found with a slash at its end and not without.
  void metrics_url(const Member& m, EndpointSpec& endpoint) {
    const auto* given = m.node->as_string();
    if (given != nullptr && given->get().empty()) return endpoint.metrics_url.clear();
    endpoint.metrics_url = text(m, "a URL, \"auto\" or \"\"", limits::name_bytes_max);
    if (fault) return;
    if (const auto wrong = fault_of_metrics_url(endpoint.metrics_url); !wrong.empty())
      say(place_of(m.node->source()),
          fmt::format("metrics_url: expected {}, got \"{}\"", wrong,
                      json::printable(without_credentials(endpoint.metrics_url), 100)));
  }
  void api_key_env(const Member& m, EndpointSpec& endpoint) {
    endpoint.api_key_env = text(m, "the name of an environment variable", limits::name_bytes_max);
    if (const auto wrong = fault_of_environment_name(endpoint.api_key_env); !wrong.empty())
      say(place_of(m.node->source()),
          fmt::format("api_key_env: expected {}, got something else (not shown, it may be the key "
                      "itself)",
                      wrong));
  }
  void api_key_file(const Member& m, EndpointSpec& endpoint) {
    endpoint.api_key_file = text(m, "the path of a file", key_file_bytes_max);
  }
  void rate(const Member& m, EndpointSpec& endpoint) {
    for (const RateLimitRow& row : rate_limit_rows)
      if (row.name == m.key) endpoint.limits.*row.amount = number(m, rate_max);
  }
  void max_in_flight(const Member& m, EndpointSpec& endpoint) {
    endpoint.limits.max_in_flight = static_cast<std::uint32_t>(number(m, slots_max));
  }

  void strict_tokens(const Member& m, EndpointSpec& endpoint) {
    const auto* given = m.node->as_boolean();
    if (given == nullptr) return expected(m, "true or false");
    endpoint.limits.strict_tokens = given->get();
  }
  void token_counting(const Member& m, EndpointSpec& endpoint) {
    const auto* given = m.node->as_string();
    const auto counting = given == nullptr ? std::nullopt : named<TokenCounting>(given->get());
    if (!counting) return expected(m, list_of_names<TokenCounting>());
    endpoint.limits.token_counting = *counting;
  }

  static constexpr Key<PoolSpec> pool_keys[]{
      {"model", &Reader::model},
      {"fallback", &Reader::fallback},
      {"price_input", &Reader::price_input},
      {"price_output", &Reader::price_output},
      {"max_output_tokens", &Reader::max_output_tokens},
      {"prefix_affinity", &Reader::prefix_affinity},
      {"endpoint", &Reader::endpoints},
  };
  static constexpr Key<EndpointSpec> other_endpoint_keys[]{
      {"url", &Reader::url},
      {"metrics_url", &Reader::metrics_url},
      {"api_key_env", &Reader::api_key_env},
      {"api_key_file", &Reader::api_key_file},
      {"max_in_flight", &Reader::max_in_flight},
      {"strict_tokens", &Reader::strict_tokens},
      {"token_counting", &Reader::token_counting},
  };
  static std::vector<Key<EndpointSpec>> endpoint_keys() {
    std::vector<Key<EndpointSpec>> keys{std::begin(other_endpoint_keys),
                                        std::end(other_endpoint_keys)};
    for (const RateLimitRow& row : rate_limit_rows) keys.push_back({row.name, &Reader::rate});
    return keys;
  }

  ConfigFile& file_;
  std::size_t endpoint_count_ = 0;
};

} // namespace

Result<ConfigFile> parse_config(std::string_view text, const std::string& path) try {
  ConfigFile file;
  file.path = path;
  const toml::table document = toml::parse(text);
  Reader reader{file};
  reader.read(document);
  if (reader.fault) return tl::unexpected{std::move(*reader.fault)};
  return file;
} catch (const toml::parse_error& error) {
  return config_fault(path, place_of(error.source()),
                      fmt::format("expected TOML, got something else: {}", error.description()));
}

Result<ConfigFile> read_config_file(const std::string& path) {
  std::ifstream stream{path, std::ios::binary};
  std::stringstream text;
  text << stream.rdbuf();
  if (!stream || !text)
    return fail(ErrorCode::usage,
                fmt::format("--config: expected a file, {} cannot be read", path));
  return parse_config(text.str(), path);
}

} // namespace gristmill
