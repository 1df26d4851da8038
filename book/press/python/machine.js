// What the page's Ethereum machine is made of; press.live bundles it with esbuild into one file that hands itself over.
import { Common, Mainnet } from "@ethereumjs/common";
import { createEVM } from "@ethereumjs/evm";
import { SimpleStateManager } from "@ethereumjs/statemanager";
import { Account, bytesToHex, createAddressFromString, hexToBytes } from "@ethereumjs/util";
import { sha256 } from "@noble/hashes/sha2.js";

window.kitLive.machine = { Account, Common, Mainnet, SimpleStateManager, bytesToHex, createAddressFromString, createEVM, hexToBytes, sha256 };
