#include "loaded_libraries.hpp"

#if defined(__linux__)

#include <link.h>
#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <mutex>

namespace purgekit::sqlite {
namespace {

struct Segment {
  const char* data;
  std::size_t size;
  bool read_only;
};

template <class Visit>
void for_each_segment(const dl_phdr_info& object, const Visit& visit) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto& header = object.dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const char* start = reinterpret_cast<const char*>(object.dlpi_addr + header.p_vaddr);  // NOLINT(performance-no-int-to-ptr): so the loader tells it
    visit(Segment{start, header.p_memsz, (header.p_flags & PF_R) != 0 && (header.p_flags & PF_W) == 0});
  }
}

bool contains_address(const dl_phdr_info& object, const void* address) {
  bool found = false;
  const auto* byte = static_cast<const char*>(address);
  for_each_segment(object, [&](const Segment& s) { found = found || (byte >= s.data && byte < s.data + s.size); });
  return found;
}

bool contains_text(const dl_phdr_info& object, const char* text) {
  bool found = false;
  for_each_segment(object, [&](const Segment& s) {
    if (!found && s.read_only) found = ::memmem(s.data, s.size, text, std::strlen(text)) != nullptr;
  });
  return found;
}

struct Scan {
  unsigned long long generation = 0;  // count of loads plus unloads the answer belongs to; 0: none yet
  std::string other;
};

int generation_of_first(dl_phdr_info* object, std::size_t, void* out) {
  *static_cast<unsigned long long*>(out) = object->dlpi_adds + object->dlpi_subs;
  return 1;
}

int look_at(dl_phdr_info* object, std::size_t, void* out) {
  // The two texts are in every SQLite, whether or not it exports symbols; together they are nowhere else.
  static constexpr const char* header = "SQLite format 3";
  static constexpr const char* refusal = "unable to delete/modify user-function due to active statements";
  const bool ours = contains_address(*object, reinterpret_cast<const void*>(&sqlite3_open_v2)) ||
                    contains_address(*object, reinterpret_cast<const void*>(&other_sqlite_library));
  if (ours || !contains_text(*object, header) || !contains_text(*object, refusal)) return 0;
  static_cast<Scan*>(out)->other = object->dlpi_name != nullptr && object->dlpi_name[0] != '\0' ? object->dlpi_name : "the main program";
  return 1;
}

}  // namespace

std::string other_sqlite_library() {
  static std::mutex mutex;
  static Scan last;
  const std::lock_guard lock(mutex);
  unsigned long long generation = 0;
  ::dl_iterate_phdr(generation_of_first, &generation);
  if (generation != last.generation) {
    last = Scan{generation, {}};
    ::dl_iterate_phdr(look_at, &last);
  }
  return last.other;
}

}  // namespace purgekit::sqlite

#else

namespace purgekit::sqlite {

std::string other_sqlite_library() { return {}; }

}  // namespace purgekit::sqlite

#endif
