// INPUT FINDER: what a name stands for: a file for itself, a pattern for what it matches, a
// directory for the files below it whose suffix we know, in the order of their names. What jobs
// have left there, results, summaries and state directories, only counts where it is named itself.
// The user's command looks where it stands, a coordinator below its data root. Invariant: the same
// files give the same inputs in the same order, and none that `real` refuses.
#pragma once

#include "coordinator/disk/directory_entries.hpp"
#include "coordinator/inputs/roots.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct FinderRules {
  std::string base; // where relative names begin; empty = the current directory
  std::string own;  // absolute; it and what begins with it and a point is no input; empty = nothing
  // Where a file or a directory really is, or why it may not be read; none = anywhere.
  std::function<Result<std::string>(const std::string&)> real;
  InputRoots roots; // below which all of it is opened
  // Hears of what was found and is no document, because a job has left it there; none = nobody
  // does.
  std::function<void(const std::string& shown)> left_out;
};

class InputFinder {
public:
  using Found = std::function<Result<>(InputSpec)>;
  // `found` hears of each file; its error ends the search.
  InputFinder(FinderRules rules, Found found);

  // Errors name the input as it was given.
  Result<> add(const std::string& name);

private:
  enum class Named : bool { by_search, itself };
  // False: a job has left it there.
  Result<bool> add_file(const std::string& path, std::string shown, Named named);
  bool leave_out(const std::string& path, const std::string& shown) const;
  Result<> add_directory(const std::string& path, const std::string& shown);
  Result<> add_matches(const std::string& name);
  Result<> find_below(const std::string& path, const std::string& below,
                      std::vector<std::string>& found) const;
  Result<> match(std::string so_far, const std::vector<std::string>& components, std::size_t next,
                 std::vector<std::string>& found) const;
  Result<std::vector<DirectoryEntry>> entries(const std::string& path) const;
  Result<std::string> real(const std::string& path) const;
  std::string place_of(const std::string& name) const;
  bool is_own(const std::filesystem::path& path) const;

  FinderRules rules_;
  Found found_;
};

bool is_pattern(const std::string& name);

// The file as it is now, so that a later reader sees whether it has changed.
InputSpec input_as_found(const std::string& path, std::string name,
                         const journal::ByteState& about);

} // namespace gristmill::coordinator
