// TASK: what is done with a job's documents. A new one is a row here, how its answers become a
// result (actors/merger/strategy.cpp) and, if not every answer will do, how they are judged
// (openai/task/).
#pragma once

#include "protocol/job/named.hpp"

#include <cstdint>

namespace gristmill {

enum class Task : std::uint8_t { chat, embed, classify };
template <>
inline constexpr std::array<std::string_view, 3> enum_names<Task>{"chat", "embed", "classify"};

struct TaskInfo {
  Task task;
  std::string_view path; // below the base URL, of a document's request
  // The answer is a vector: it has no tokens, no system message asks for it, and nothing is saved
  // where two requests begin alike.
  bool embeds = false;
  // Of the system message, where the user gives neither it nor a prompt. A task that has one is of
  // documents: the request of a batch line says itself what is wanted.
  std::string_view opening = {};
  bool has_labels = false; // the answer is one of the job's labels, which stand in the request
};
inline constexpr std::array task_infos{
    TaskInfo{.task = Task::chat, .path = "/chat/completions"},
    TaskInfo{.task = Task::embed, .path = "/embeddings", .embeds = true},
    TaskInfo{.task = Task::classify,
             .path = "/chat/completions",
             .opening = "Classify the text that the user gives.",
             .has_labels = true},
};
constexpr const TaskInfo& info(Task task) {
  return task_infos[static_cast<std::size_t>(task)];
}
static_assert(task_infos.size() == enum_names<Task>.size() &&
              std::all_of(task_infos.begin(), task_infos.end(),
                          [](const TaskInfo& row) { return &info(row.task) == &row; }));

} // namespace gristmill
