// UPLOADS: the input files that clients bring, and the say over which files a job may read at all:
//
//   STATE/inputs/ID/NAME.part   while it comes
//   STATE/inputs/ID/NAME        complete and durable; beside a list, what of the uploads it names
//   DATA_ROOT/…                 files that are there already, if the coordinator was given one
//
// Invariant: a client can make the coordinator read nothing else on its disk.
#pragma once

#include "coordinator/disk/disk_room.hpp"
#include "coordinator/disk/work_threads.hpp"
#include "coordinator/inputs/roots.hpp"
#include "coordinator/result/part_file.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

// A file on its way in. Without Uploads::finish() nothing of it stays.
class Upload {
public:
  Upload(std::string id, std::string path, std::unique_ptr<PartFile> file, DiskRoom room)
      : id_{std::move(id)}, path_{std::move(path)}, file_{std::move(file)}, room_{std::move(room)} {
  }
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  Result<> append(std::string_view bytes);
  std::string directory() const; // its own

private:
  friend class Uploads;
  std::string id_, path_;
  std::unique_ptr<PartFile> file_;
  DiskRoom room_;
  bool finished_ = false;
};

struct UploadedFile {
  std::string id, path;
  std::uint64_t bytes = 0;
};

class Uploads {
public:
  using Finished = std::function<void(Result<UploadedFile>)>;

  // Removes what unfinished uploads of an earlier life left. `data_root` empty: there is none; it
  // may not hold the state, nor lie within it.
  static Result<std::unique_ptr<Uploads>> open(const std::string& state_directory,
                                               const std::string& data_root,
                                               DiskCalls calls = real_disk());

  // `bytes`: as announced, if they were.
  Result<std::unique_ptr<Upload>> begin(std::string_view name, std::optional<std::uint64_t> bytes);
  Result<UploadedFile> finish_now(Upload& upload);
  // Makes it durable, with the rest that was not appended yet, on a thread of its own: a sync may
  // take so long that even other uploads must not wait for it.
  void finish(std::unique_ptr<Upload> upload, std::string rest, Finished finished);
  // Other work on uploads, on threads for that: whatever touches the disk makes somebody wait.
  void order(std::function<void()> work) { pieces_.order(std::move(work)); }

  const std::string& data_root() const { return data_root_; } // empty: there is none
  // Where a path really leads that a job may read: an upload, or the data root or something below
  // it, for which a path may also be given relative to it. It need not be there.
  Result<std::string> located(const std::string& path) const;
  // What opens a located path, whatever has taken its place since.
  const InputRoots& roots() const { return roots_; }
  // The upload that a located path is part of; empty = of none.
  std::string id_of(const std::string& path) const;
  bool remove(const std::string& id); // false: there is none
  // Removes those that have been there for so long and are not in use; returns how many.
  std::size_t remove_unused(std::chrono::seconds age,
                            const std::function<bool(const std::string& id)>& in_use);

private:
  Uploads(std::string inputs, std::string data_root, DiskCalls calls);

  std::string inputs_, data_root_; // absolute, without links
  DiskCalls calls_;
  InputRoots roots_;
  WorkThreads finishing_{"uploads", 1}, pieces_{"uploads", 4};
};

// Refuses a data root that holds `path`, which `option` named, or lies within it.
Result<> keep_apart(const std::string& data_root, std::string_view option, const std::string& path);

// The last component of a path, with what a file name had better not contain replaced.
std::string file_name_of(std::string_view name);

} // namespace gristmill::coordinator
