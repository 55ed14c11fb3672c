// Scripted faults: which calls are hurt, and how.
//
//   fault     = kind [":" key "=" value {"," key "=" value}]
//   kind      = "status" | "reset" | "hang" | "truncated" | "malformed" | "empty"
//             | "die_after_read" | "html" | "overload" | "quota" | "context" | "content_filter"
//             | "redirect" | "huge" | "babble" | "missing_index" | "doubled_index" | "backwards"
//             | "unfit" | "prose"
//   which     = rate=P        with probability P, drawn as draw.hpp says
//               match=TEXT    only if the call's text contains TEXT (no comma)
//               model=NAME    only if the call asks for the model NAME
//               times=K       only the first K times that a text is seen
//               from=N, to=M  only arrivals N to M, counted from 1
//               first=N       only the first N calls that all the other keys let through
//   how       = code=, body-code=, body-type=, retry_after=S   for status (default code 500)
//               location=URL                                   for redirect
//               bytes=N                                        for huge (default 16777216)
//
// missing_index, doubled_index and backwards spoil the list of an embeddings answer (answer.hpp)
// and want only calls of at least two inputs, so that an input that is asked for alone is answered.
// unfit and prose want only chats: {"checksum":7}, which does not fit the schema of --answer json,
// and a sentence that is no JSON. A repair (call.hpp) is one more time that its text is seen.
//
// The first fault of the list that wants a call gets it. A script counts its hits and is otherwise
// pure. Invariant: a fault without `first` and `from`/`to` hits the same sightings in every run.
#pragma once

#include "draw.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::simllm {

enum class FaultKind {
  status,
  reset,
  hang,
  truncated,
  malformed,
  empty,
  die_after_read,
  html,
  overload,
  quota,
  context,
  content_filter,
  redirect,
  huge,
  babble,
  missing_index,
  doubled_index,
  backwards,
  unfit,
  prose,
};
inline constexpr std::size_t fault_kinds = 20;

std::string_view name_of(FaultKind kind);

struct Fault {
  static constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

  FaultKind kind = FaultKind::status;
  double rate = 1;
  std::string match;
  std::string model; // empty: of any
  std::uint64_t times = no_end;
  std::uint64_t from = 1;
  std::uint64_t to = no_end;
  std::uint64_t first = no_end;

  int code = 500;
  std::string body_code;
  std::string body_type;
  double retry_after_s = -1; // below zero: no such header
  std::string location;
  std::uint64_t bytes = 16u << 20;

  // Throws std::invalid_argument with a sentence that says what was expected.
  static Fault parse(std::string_view text);

  // What the client will see as the status, or 0 when it will see none.
  int status() const;

  // Whether the model worked first, so that the call takes its latency and a slot, or the call was
  // turned away at the door.
  bool after_service() const;

  bool spoils_list() const;
  bool spoils_chat() const;
};

// What a script sees of a call.
struct FaultSubject {
  std::string_view text, model;
  std::size_t list_inputs = 0; // of an embeddings call
  bool chat = false;
};

class FaultScript {
public:
  FaultScript() = default;
  explicit FaultScript(const std::vector<std::string>& faults);

  // The fault for this call, or null. The pointer stays good after the script is replaced.
  std::shared_ptr<const Fault> pick(std::uint64_t seed, const FaultSubject& call, Sighting seen,
                                    std::uint64_t arrival);

private:
  struct Entry {
    std::shared_ptr<const Fault> fault;
    std::uint64_t hits = 0;
  };
  std::vector<Entry> entries_;
};

} // namespace gristmill::simllm
