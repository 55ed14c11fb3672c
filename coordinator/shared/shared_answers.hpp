// SHARED ANSWERS: the bodies of answers that stand in files below our directory in the shared one.
// Invariant: what is read is what its session wrote, or the error names file and offset.
#pragma once

#include "actors/kit/shared_directory.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/result.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

class SharedAnswers {
public:
  SharedAnswers(SharedDirectory directory, std::string ours)
      : directory_{std::move(directory)}, ours_{std::move(ours)} {}
  const SharedDirectory& directory() const { return directory_; }
  const std::string& ours() const { return ours_; } // its name

  // Any thread.
  Result<std::string> read(const openai::BodyPlace& body);
  // Removes files that are not named; returned are directories of jobs that are not known, by
  // another name: a job may get theirs while they are removed. What cannot be looked at stays.
  std::vector<std::string> sweep(const std::set<std::string>& jobs,
                                 const std::set<std::string>& named) const;
  std::string path_of(const std::string& file) const {
    return directory_.path() + "/" + ours_ + "/" + file;
  }

private:
  static constexpr std::size_t open_files_max = 32;
  SharedDirectory directory_;
  std::string ours_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<SharedFile>> open_;
};

} // namespace gristmill::coordinator
