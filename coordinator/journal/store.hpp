// STORE: the windows on all that is durable, opened together. Nobody else says which implementation
// they have: here it is files and SQLite below a state directory. Another one is a folder with its
// own windows, and a choice between the two in these functions.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "actors/journal/journal_store.hpp"
#include "actors/journal/line_store.hpp"

#include <memory>
#include <string>

namespace gristmill::coordinator {

struct Store {
  std::unique_ptr<journal::JournalStore> rows; // and, in one group with them, lines
  journal::LineStore* lines = nullptr;         // part of it
};

// Takes the directory for this process, fills `recovered`, and has the new epoch on disk before it
// returns. The events come from a thread of the store.
Result<Store> open_store(const std::string& state_directory, journal::JournalEvents events,
                         journal::Recovered& recovered);

// Once the state directory is ours.
Result<std::shared_ptr<journal::BlobStore>> open_blobs(const std::string& state_directory);

} // namespace gristmill::coordinator
