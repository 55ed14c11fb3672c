// STORE: the windows on all that is durable, opened together. Nobody else says which implementation
// they have: here it is files and SQLite below a state directory. Another one is a folder with its
// own windows, and a choice between the two in these functions.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "actors/journal/journal_store.hpp"
#include "actors/journal/line_store.hpp"

#include <functional>
#include <memory>
#include <string>

namespace gristmill::coordinator {

class SharedAnswers;

struct Store {
  std::unique_ptr<journal::JournalStore> rows; // and, in one group with them, lines
  journal::LineStore* lines = nullptr;         // part of it
};

// Takes the directory for this process, fills `recovered`, and has the new epoch on disk before it
// returns. The events come from a thread of the store.
// `open_bodies`: of answers, where workers share a directory with us; called once the state
// directory is ours.
using OpenBodies = std::function<Result<std::shared_ptr<SharedAnswers>>()>;
Result<Store> open_store(const std::string& state_directory, journal::JournalEvents events,
                         journal::Recovered& recovered, OpenBodies open_bodies = {});

// Once the state directory is ours.
Result<std::shared_ptr<journal::BlobStore>> open_blobs(const std::string& state_directory);

} // namespace gristmill::coordinator
