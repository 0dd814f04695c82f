#include "loader.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstring>
#include <fstream>

#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/marshal.hpp"

namespace purgekit {
namespace {

using sdk::Error;

// The dynamic loader maps what the program headers tell without a look at the file's size, and touching what is not there
// kills the process.
bool is_cut_off(std::ifstream& in, const ElfW(Ehdr)& head) {
  in.seekg(0, std::ios::end);
  const auto size = static_cast<std::uint64_t>(in.tellg());
  for (unsigned i = 0; i < head.e_phnum; ++i) {
    ElfW(Phdr) part{};
    const std::uint64_t at = head.e_phoff + std::uint64_t{i} * sizeof part;
    if (head.e_phoff > size || at + sizeof part > size) return true;
    in.seekg(static_cast<std::streamoff>(at));
    if (!in.read(reinterpret_cast<char*>(&part), sizeof part)) return true;
    if (part.p_type == PT_LOAD && (part.p_offset > size || part.p_filesz > size - part.p_offset)) return true;
  }
  return false;
}

// The constructors of a library run inside dlopen, so what is no library must not get there.
void check_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  ElfW(Ehdr) head{};
  in.read(reinterpret_cast<char*>(&head), sizeof head);
  if (in.gcount() == 0) throw Error(PK_NOT_FOUND, "plugin " + path + " can't be read or is empty");
  const bool elf = in.gcount() == sizeof head && std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  if (!elf || head.e_type != ET_DYN) throw Error(PK_INVALID_ARGUMENT, "plugin " + path + " is not a shared library");
  const bool ours = head.e_ident[EI_CLASS] == (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32);
  if (!ours || head.e_phentsize != sizeof(ElfW(Phdr))) throw Error(PK_INVALID_ARGUMENT, "plugin " + path + " was built for another kind of machine");
  if (is_cut_off(in, head)) throw Error(PK_INVALID_ARGUMENT, "plugin " + path + " is cut off; copy it again");
}

template <class Out>
std::int32_t not_supported(const char* verb, Out* error) {
  return Error(PK_NOT_SUPPORTED, std::string("this backend does not offer ") + verb).to_c(error);
}

void fill_optional(pk_backend& t) {
  using C = pk_connection;
  if (t.tables == nullptr) {
    t.tables = [](C*, const pk_table_name*, pk_texts*, pk_error* e) -> std::int32_t { return not_supported("tables", e); };
  }
  if (t.estimate == nullptr) {
    t.estimate = [](C*, const pk_purge*, std::int64_t*, pk_error* e) -> std::int32_t { return not_supported("estimate", e); };
  }
  if (t.sample_key == nullptr) {
    t.sample_key = [](C*, const pk_purge*, pk_text*, pk_error* e) -> std::int32_t { return not_supported("sample_key", e); };
  }
  if (t.sample_column == nullptr) {
    t.sample_column = [](C*, const pk_purge*, pk_text, pk_samples*, pk_error* e) -> std::int32_t { return not_supported("sample_column", e); };
  }
  if (t.lock_run == nullptr) {
    t.lock_run = [](C*, pk_text, pk_error* e) -> std::int32_t { return not_supported("lock_run", e); };
  }
  if (t.unlock_run == nullptr) {
    t.unlock_run = [](C*, pk_text, pk_error* e) -> std::int32_t { return not_supported("unlock_run", e); };
  }
  if (t.delete_children == nullptr) {
    t.delete_children = [](C*, std::size_t, std::int64_t*, pk_error* e) -> std::int32_t { return not_supported("delete_children", e); };
  }
  if (t.replica_lag == nullptr) {
    t.replica_lag = [](C*, double*, pk_error* e) -> std::int32_t { return not_supported("replica_lag", e); };
  }
  if (t.archive_find == nullptr) {
    t.archive_find = [](C*, const pk_purge*, pk_archive_infos*, pk_error* e) -> std::int32_t { return not_supported("an archive table", e); };
  }
  if (t.archive_create == nullptr) {
    t.archive_create = [](C*, const pk_purge*, pk_error* e) -> std::int32_t { return not_supported("an archive table", e); };
  }
  if (t.fence == nullptr) {
    t.fence = [](C*, pk_text, std::int64_t, std::int64_t, pk_error* e) -> std::int32_t { return not_supported("fence", e); };
  }
  if (t.split == nullptr) {
    t.split = [](C*, std::size_t, pk_texts* cuts, pk_error*) -> std::int32_t {
      *cuts = {nullptr, 0};
      return PK_OK;
    };
  }
  if (t.pressure == nullptr) {
    t.pressure = [](C*, pk_signals*, pk_error* e) -> std::int32_t { return not_supported("pressure", e); };
  }
  if (t.space == nullptr) {
    t.space = [](C*, const pk_purge*, pk_space*, pk_error* e) -> std::int32_t { return not_supported("space", e); };
  }
  if (t.reclaim == nullptr) {
    t.reclaim = [](C*, const pk_purge*, std::uint32_t, std::uint8_t*, pk_error* e) -> std::int32_t { return not_supported("reclaim", e); };
  }
  if (t.moves == nullptr) {
    t.moves = [](C*, const pk_purge*, std::int64_t, std::int64_t, pk_moves*, pk_error* e) -> std::int32_t { return not_supported("moves", e); };
  }
  if (t.log_bytes == nullptr) {
    t.log_bytes = [](C*, std::int64_t*, pk_error* e) -> std::int32_t { return not_supported("log_bytes", e); };
  }
  if (t.measure == nullptr) {
    t.measure = [](C*, pk_text, std::uint32_t, pk_measure*, pk_error* e) -> std::int32_t { return not_supported("a query of one's own", e); };
  }
  if (t.own_lag == nullptr) {
    t.own_lag = [](C*, double*, pk_error* e) -> std::int32_t { return not_supported("the lag of a replica", e); };
  }
  if (t.note_write == nullptr) {
    t.note_write = [](C*, pk_text, const pk_run*, pk_error* e) -> std::int32_t { return not_supported("notes in the ledger", e); };
  }
  if (t.note_delete == nullptr) {
    t.note_delete = [](C*, pk_text, pk_text, pk_error* e) -> std::int32_t { return not_supported("notes in the ledger", e); };
  }
  if (t.note_list == nullptr) {
    t.note_list = [](C*, pk_text, pk_runs*, pk_error* e) -> std::int32_t { return not_supported("notes in the ledger", e); };
  }
  if (t.note_add == nullptr) {
    t.note_add = [](C*, pk_text, const pk_run*, pk_error* e) -> std::int32_t { return not_supported("notes in the ledger", e); };
  }
  if (t.note_page == nullptr) {
    t.note_page = [](C*, pk_text, pk_text, pk_text, std::size_t, pk_runs*, pk_error* e) -> std::int32_t { return not_supported("notes in the ledger", e); };
  }
  if (t.sample_rows == nullptr) {
    t.sample_rows = [](C*, const pk_purge*, std::size_t, pk_samples*, pk_error* e) -> std::int32_t { return not_supported("samples of rows", e); };
  }
  if (t.restore_next == nullptr) {
    t.restore_next = [](C*, const pk_restore*, std::int64_t, pk_restored*, pk_error* e) -> std::int32_t { return not_supported("restore", e); };
  }
  if (t.archive_make == nullptr) {
    t.archive_make = [](C*, const pk_load*, pk_error* e) -> std::int32_t { return not_supported("an archive table", e); };
  }
  if (t.archive_load == nullptr) {
    t.archive_load = [](C*, const pk_load*, pk_error* e) -> std::int32_t { return not_supported("loading archive files", e); };
  }
  if (t.slot_share == nullptr) {
    t.slot_share = [](C*, pk_text, pk_shared_slot*, pk_error* e) -> std::int32_t { return not_supported("a shared place in the ledger", e); };
  }
  if (t.maturity == nullptr) t.maturity = "experimental";
}

// Names of the required slots that were left empty.
std::string missing_slots(const pk_backend& t) {
  std::string out;
  const auto need = [&](bool present, const char* slot) {
    if (!present) out += (out.empty() ? "" : ", ") + std::string(slot);
  };
  need(t.name != nullptr && t.name[0] != '\0', "name");
  need(t.version != nullptr, "version");
  need(t.schemes != nullptr && t.schemes[0] != '\0', "schemes");
  need(t.open != nullptr, "open");
  need(t.connect != nullptr, "connect");
  need(t.close != nullptr, "close");
  need(t.cancel != nullptr, "cancel");
  need(t.inspect != nullptr, "inspect");
  need(t.describe != nullptr, "describe");
  need(t.count != nullptr, "count");
  need(t.propose != nullptr, "propose");
  need(t.prepare != nullptr, "prepare");
  need(t.ledger_find != nullptr, "ledger_find");
  need(t.ledger_create != nullptr, "ledger_create");
  need(t.slot_lock != nullptr, "slot_lock");
  need(t.slot_write != nullptr, "slot_write");
  need(t.run_write != nullptr, "run_write");
  need(t.run_list != nullptr, "run_list");
  need(t.begin != nullptr, "begin");
  need(t.delete_range != nullptr, "delete_range");
  need(t.checkpoint != nullptr, "checkpoint");
  need(t.commit != nullptr, "commit");
  need(t.rollback != nullptr, "rollback");
  return out;
}

}  // namespace

pk_backend load_plugin(const std::string& path) {
  check_file(path);
  dlerror();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw Error(PK_NOT_FOUND, "plugin " + path + " can't be loaded: " + (reason != nullptr ? reason : "unknown reason"));
  }
  const auto init = reinterpret_cast<pk_backend_init>(dlsym(library, PURGEKIT_ENTRY_SYMBOL));
  if (init == nullptr) throw Error(PK_INVALID_ARGUMENT, "plugin " + path + " has no symbol " PURGEKIT_ENTRY_SYMBOL "; is it a purgekit backend?");

  pk_backend table{};
  table.struct_size = sizeof table;
  pk_error error{};
  std::int32_t code = PK_INTERNAL;
  try {
    code = init(PURGEKIT_ABI_VERSION, &table, &error);
  } catch (...) {
    throw Error(PK_INTERNAL, "plugin " + path + " threw while it was initialised, which is a defect in it");
  }
  if (code != PK_OK) throw Error::from_c(code, error).context("plugin " + path + " refused to initialise");
  if (table.abi != PURGEKIT_ABI_VERSION) {
    throw Error(PK_NOT_SUPPORTED, "plugin " + path + " was built for plugin ABI " + sdk::abi_text(table.abi) + ", this is " +
                                      sdk::abi_text(PURGEKIT_ABI_VERSION) + "; rebuild it with this version's headers");
  }
  if (table.struct_size != sizeof(pk_backend)) throw Error(PK_NOT_SUPPORTED, "plugin " + path + " knows a table of another size; rebuild it with this version's headers");
  const std::string missing = missing_slots(table);
  if (!missing.empty()) throw Error(PK_INVALID_ARGUMENT, "plugin " + path + " leaves required slots empty: " + missing);
  fill_optional(table);
  return table;
}

}  // namespace purgekit
