// Everything that can be set: once by the command line, and partly again while the server runs.
//
// Invariant: whatever is held here has been checked; a law or fault that cannot be read is refused
// before any of the settings beside it takes effect.
#pragma once

#include "answer.hpp"
#include "limits.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::simllm {

// What POST /control can replace.
struct LiveSettings {
  double requests_per_minute = 0; // 0: no limit
  double tokens_per_minute = 0;
  double input_per_minute = 0, output_per_minute = 0; // tokens; not by POST /control
  bool charge_reserved = false;                       // the same
  double burst_s = 1;
  std::uint64_t slots = 0;      // 0: no limit
  std::uint64_t inputs_max = 0; // of an embeddings call; 0: no limit
  std::string latency = "0";
  std::vector<std::string> faults;
};

struct Options {
  std::string listen = "127.0.0.1:8099";
  std::uint32_t threads = 1;
  std::uint64_t seed = 1;
  std::vector<std::string> models;
  std::string api_key;
  std::string log;
  bool log_bodies = false;
  LimitWording wording;
  std::string answer = "checksum";
  std::string prefix_cache; // empty: none
  AnswerShape shape;
  LiveSettings live;
};

// Some new settings; what is absent stays as it is.
struct Change {
  std::optional<double> requests_per_minute;
  std::optional<double> tokens_per_minute;
  std::optional<double> burst_s;
  std::optional<std::uint64_t> slots, inputs_max;
  std::optional<std::string> latency;
  std::optional<std::vector<std::string>> faults;
  bool reset_stats = false;

  bool changes_limits() const { return requests_per_minute || tokens_per_minute || burst_s; }
  void apply_to(LiveSettings& settings) const;
};

// The options of a command line, or the exit code when there is nothing to run: after --help, or
// after a mistake, which has then been explained on standard error.
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};
ParsedOptions parse_options(int argc, char** argv);

} // namespace gristmill::simllm
