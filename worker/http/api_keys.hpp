// API KEYS: turns the names under which a job states its keys into header lines. The keys live on
// workers only; jobs, journals and messages carry the names. Invariant: no message made here
// contains a key or a part of one.
#pragma once

#include "protocol/result.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace gristmill::worker {

class ApiKeys {
public:
  // Whose sentences: a worker is somewhere else than who reads them; a command says the rest
  // itself.
  enum class Owner : bool { worker, command };
  explicit ApiKeys(Owner owner = Owner::worker) : owner_{owner} {}

  // The whole "Authorization: Bearer …" line of the key in environment variable `env`, or else in
  // `file`; nullptr when both are empty. A key that was found is kept, so the pointer stays valid;
  // one that was not is looked for again the next time.
  Result<const std::string*> authorization(const std::string& env, const std::string& file);

  // The key of such a line.
  static std::string_view key_in(std::string_view authorization);

private:
  const Owner owner_;
  std::map<std::pair<std::string, std::string>, std::string> lines_;
};

} // namespace gristmill::worker
